/**
 * Sparse autoencoders on the CPU: data, training, model files, and the arithmetic alone.
 *
 * - A function that can fail returns an SaeStatus, SAE_STATUS_OK (0) if it did not; what was wrong is
 *   told in one sentence by sae_last_error(), a text for each thread. One that returns a number or a
 *   pointer returns 0 or NULL instead.
 * - A handle that a function makes is written to its last argument (NULL where it failed) and is freed
 *   by the function of its type that ends in _free. A text that one makes is freed by sae_string_free.
 * - A handle may be made, used and freed in different threads, but by one call at a time: another gets
 *   SAE_STATUS_BUSY. SaeSamples may be used by many at once.
 * - Numbers are float, row by row. Lengths and strides count numbers, not bytes. Paths and names are UTF-8.
 * - NULL where there must be something, a wrong length and a stride of 0 are answered with
 *   SAE_STATUS_ARGUMENT. That a pointer points to what its function's Safety asks for cannot be checked.
 */

#ifndef SAE_H
#define SAE_H

/* Made by cbindgen of capi/src; `scripts/capi.sh write` makes it again. */

#include <stddef.h>
#include <stdint.h>

/**
 * How a call ended. What went wrong is told in a sentence by `sae_last_error`.
 */
typedef enum {
  /**
   * As it should.
   */
  SAE_STATUS_OK = 0,
  /**
   * An argument is NULL, not aligned, no UTF-8, of the wrong length, or a stride that makes no
   * sense.
   */
  SAE_STATUS_ARGUMENT = 1,
  /**
   * A setting has a value that makes no sense, by itself or for this data.
   */
  SAE_STATUS_SETTING = 2,
  /**
   * Data of a shape that does not fit, or with a number that is not finite.
   */
  SAE_STATUS_SHAPE = 3,
  /**
   * A file's content is not what its format asks for.
   */
  SAE_STATUS_FORMAT = 4,
  /**
   * A file could not be opened, read, mapped or written.
   */
  SAE_STATUS_IO = 5,
  /**
   * The objective is no longer a finite number.
   */
  SAE_STATUS_DIVERGED = 6,
  /**
   * The handle is at work in another call: in another thread, or in the one whose callback this
   * is.
   */
  SAE_STATUS_BUSY = 7,
  /**
   * A fault of the library's own. The handle can only be freed.
   */
  SAE_STATUS_PANIC = 8,
  /**
   * Something else.
   */
  SAE_STATUS_OTHER = 9,
} SaeStatus;

/**
 * An autoencoder, and the threads it computes with. Any thread may use it, one at a time.
 */
typedef struct SaeAutoencoder SaeAutoencoder;

/**
 * An instruction set, and the memory that a product works in (some 6 MB): one thread's. Any thread
 * may use it, one at a time.
 */
typedef struct SaeKernels SaeKernels;

/**
 * A data set: samples, and how they are scaled. It never changes, so several threads may use it at
 * once. Trainers that were made on it keep what they need: it may be freed before them.
 */
typedef struct SaeSamples SaeSamples;

/**
 * A training in progress. Any thread may use it, one at a time.
 */
typedef struct SaeTrainer SaeTrainer;

/**
 * The objective's terms over a step's batch, as the step met them (before its update).
 */
typedef struct {
  /**
   * Steps done, with this one.
   */
  uint64_t step;
  /**
   * The data term.
   */
  double loss;
  /**
   * The sum of KL over the units of the layers that bear it; 0 where none does.
   */
  double sparsity;
  /**
   * The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
   */
  double l1;
  /**
   * Units of a JumpReLU's code that are not 0, a mean over samples.
   */
  double l0;
  /**
   * All sparsity penalties, with their weights.
   */
  double penalty;
} SaeStep;

/**
 * Called after each step of `sae_trainer_run` with the pointer that was given to it; an answer
 * other than 0 stops. It may use the trainer, but not run or free it, and must return: no longjmp,
 * no exception.
 */
typedef int (*SaeAfterStep)(void *user, SaeTrainer *trainer, const SaeStep *step);

/**
 * The objective over a data set, and its terms.
 */
typedef struct {
  /**
   * loss + penalty + lambda * weight_decay.
   */
  double objective;
  /**
   * The objective's data term, a mean over samples and features.
   */
  double loss;
  /**
   * The sum of KL over the units of the layers that bear it; 0 where none does.
   */
  double sparsity;
  /**
   * The sum of |a| over the units of the layers that bear the L1 penalty, a mean over samples.
   */
  double l1;
  /**
   * All sparsity penalties, with their weights.
   */
  double penalty;
  /**
   * Half the sum of the squared weights.
   */
  double weight_decay;
  /**
   * Mean squared error over all samples and features, whatever the loss.
   */
  double squared_error;
  /**
   * Share of the data's variance that the reconstructions have; NaN where the data does not
   * vary.
   */
  double explained_variance;
} SaeEvaluation;

/**
 * How active a hidden layer is over a data set.
 */
typedef struct {
  /**
   * The layer's units.
   */
  size_t units;
  /**
   * Units that are active in no sample.
   */
  size_t dead_units;
  /**
   * Mean activation, over samples and units.
   */
  double mean_activation;
  /**
   * Units active in a sample, a mean over samples. (Active is what is further from 0 than 0
   * where the layer has exact zeros, than 0.1 elsewhere.)
   */
  double l0;
} SaeActivity;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

/**
 * The text of this thread's last call that did not succeed; "" if there was none. It stays until
 * this thread's next one that does not, and is not to be freed.
 */
const char *sae_last_error(void);

/**
 * The library's version, for example "0.1.0". It is not to be freed.
 */
const char *sae_version(void);

/**
 * Frees a string that a function of this library has made. NULL is none.
 *
 * # Safety
 * `string` is NULL or from a function that says so, and is not used again.
 */
void sae_string_free(char *string);

/**
 * The settings of a preset, "sparse" or "plain", as one line of JSON: to be freed by
 * `sae_string_free`.
 *
 * # Safety
 * `name` is NULL or a string that ends in 0; `json` is NULL or to room for a pointer.
 */
SaeStatus sae_settings_preset(const char *name, char **json);

/**
 * Checks settings, and gives all of them as one line of JSON: to be freed by `sae_string_free`.
 *
 * `settings` is an object of those that differ from a preset: `{"preset": "plain", "layers": [64,
 * 16, 64], "batch": 20, "code": "top-k:4"}`. Without `preset` the others are those of "sparse";
 * NULL is that preset itself. (A trainer fits what is not named to its samples; this does not.)
 *
 * # Safety
 * `settings` is NULL or a string that ends in 0; `json` is NULL or to room for a pointer.
 */
SaeStatus sae_settings_complete(const char *settings, char **json);

/**
 * Maps an IDX file (also packed with gzip) or reads a NumPy file; samples lie along the first
 * dimension, features along the others. `scaling` is NULL for a file of bytes (then they are
 * divided by 255), or one of "byte", "as-is", "min-max", "mean-deviation". A mapped file must not
 * become shorter while it is in use.
 *
 * # Safety
 * `path` and `scaling` are NULL or strings that end in 0; `samples` is NULL or to room for a
 * pointer.
 */
SaeStatus sae_samples_open(const char *path, const char *scaling, SaeSamples **samples);

/**
 * As `sae_samples_open`, scaled as other samples are: test data as its training data.
 *
 * # Safety
 * `path` is NULL or a string that ends in 0, `like` NULL or of this library; `samples` is NULL or
 * to room for a pointer.
 */
SaeStatus sae_samples_open_like(const char *path, const SaeSamples *like, SaeSamples **samples);

/**
 * Copies samples from a buffer of numbers, `[rows, cols]`: number (i, j) is `data[i * row_stride +
 * j * col_stride]`. They are taken as they are: beyond [0, 1] the output layer wants another
 * activation than the presets' sigmoid, `"output_activation": "linear"`.
 *
 * # Safety
 * `data` is NULL or to memory that has all these numbers; `samples` is NULL or to room for a
 * pointer.
 */
SaeStatus sae_samples_from_f32(const float *data,
                               size_t rows,
                               size_t cols,
                               size_t row_stride,
                               size_t col_stride,
                               SaeSamples **samples);

/**
 * Copies samples from a buffer of bytes, as `sae_samples_from_f32`. They stay bytes, and are
 * scaled as a file's: divided by 255.
 *
 * # Safety
 * As for `sae_samples_from_f32`.
 */
SaeStatus sae_samples_from_u8(const uint8_t *data,
                              size_t rows,
                              size_t cols,
                              size_t row_stride,
                              size_t col_stride,
                              SaeSamples **samples);

/**
 * The first `count` samples, and the others. Both parts must have one. The data is shared.
 *
 * # Safety
 * `samples` is NULL or of this library; `first` and `others` are NULL or to room for a pointer
 * each.
 */
SaeStatus sae_samples_split(const SaeSamples *samples,
                            size_t count,
                            SaeSamples **first,
                            SaeSamples **others);

/**
 * How many samples there are; 0 if it is NULL.
 *
 * # Safety
 * `samples` is NULL or of this library.
 */
size_t sae_samples_count(const SaeSamples *samples);

/**
 * Features of a sample; 0 if it is NULL.
 *
 * # Safety
 * `samples` is NULL or of this library.
 */
size_t sae_samples_features(const SaeSamples *samples);

/**
 * Frees samples. NULL is none.
 *
 * # Safety
 * `samples` is NULL or of this library, in no other call, and not used again.
 */
void sae_samples_free(SaeSamples *samples);

/**
 * Draws digits, a stand-in for MNIST: `count` images of 28 x 28 bytes, row by row (0 is paper, 255
 * is ink), and what digit each shows. The same seed gives the same images everywhere; fewer are
 * the first of more.
 *
 * `images` has room for `images_length` bytes, 784 an image; `labels` for `labels_length`, one an
 * image, or it is NULL and its length 0.
 *
 * # Safety
 * `images` and `labels` are NULL or to room for so many bytes.
 */
SaeStatus sae_draw_digits(size_t count,
                          uint64_t seed,
                          uint8_t *images,
                          size_t images_length,
                          uint8_t *labels,
                          size_t labels_length);

/**
 * A trainer on samples. `settings` is JSON as for `sae_settings_complete`, or NULL. What it does not
 * name is fitted to the samples: the ends of `layers` are their features, `output_activation` is
 * "sigmoid" for samples scaled into [0, 1] and "linear" for others, and with L-BFGS `batch` is all
 * samples. `threads` is how many to use, 0 for as many as there are cores (the maximum in any
 * case): the result is the same for any number.
 *
 * # Safety
 * `settings` is NULL or a string that ends in 0, `samples` NULL or of this library; `trainer` is
 * NULL or to room for a pointer.
 */
SaeStatus sae_trainer_new(const char *settings,
                          const SaeSamples *samples,
                          size_t threads,
                          SaeTrainer **trainer);

/**
 * A trainer that goes on from a checkpoint, with its settings, to the same bits as if it had never
 * stopped. The samples must be those it was on.
 *
 * # Safety
 * As for `sae_trainer_new`.
 */
SaeStatus sae_trainer_resume(const char *checkpoint,
                             const SaeSamples *samples,
                             size_t threads,
                             SaeTrainer **trainer);

/**
 * Writes a checkpoint, and returns when it is on the disk. Until then a file of that name stays as
 * it was.
 *
 * # Safety
 * `trainer` is NULL or of this library, `path` NULL or a string that ends in 0.
 */
SaeStatus sae_trainer_checkpoint(SaeTrainer *trainer, const char *path);

/**
 * Frees a trainer, and ends its threads. NULL is none. One that is at work is left alone, and
 * `sae_last_error` says so.
 *
 * # Safety
 * `trainer` is NULL or of this library, and not used again unless it was left alone.
 */
void sae_trainer_free(SaeTrainer *trainer);

/**
 * One step on the next batch of the samples. `step` may be NULL.
 *
 * # Safety
 * `trainer` is NULL or of this library; `step` is NULL or to room for one.
 */
SaeStatus sae_trainer_step(SaeTrainer *trainer, SaeStep *step);

/**
 * One step on a batch of the caller's, `[rows, cols]` as for `sae_samples_from_f32`: as many
 * samples as the setting `batch` says, of as many features as the network has inputs. `step` may
 * be NULL.
 *
 * # Safety
 * `trainer` is NULL or of this library, `data` NULL or to memory that has all these numbers;
 * `step` is NULL or to room for one.
 */
SaeStatus sae_trainer_step_on(SaeTrainer *trainer,
                              const float *data,
                              size_t rows,
                              size_t cols,
                              size_t row_stride,
                              size_t col_stride,
                              SaeStep *step);

/**
 * The objective's gradient on a batch of the caller's, given as for `sae_trainer_step_on`, laid
 * out as the parameters (`sae_trainer_parameters`), the weight decay's part in it. Nothing is
 * trained. `step` may be NULL.
 *
 * # Safety
 * As for `sae_trainer_step_on`; `gradient` is NULL or to room for `length` numbers.
 */
SaeStatus sae_trainer_gradient_on(SaeTrainer *trainer,
                                  const float *data,
                                  size_t rows,
                                  size_t cols,
                                  size_t row_stride,
                                  size_t col_stride,
                                  float *gradient,
                                  size_t length,
                                  SaeStep *step);

/**
 * One step of the optimizer with a gradient of the caller's, for example that of
 * `sae_trainer_gradient_on` with another penalty's added to it.
 *
 * # Safety
 * `trainer` is NULL or of this library, `gradient` NULL or to `length` numbers.
 */
SaeStatus sae_trainer_step_with(SaeTrainer *trainer, const float *gradient, size_t length);

/**
 * So many steps, or fewer if `after` (NULL for none) says to stop.
 *
 * # Safety
 * `trainer` is NULL or of this library; `after` keeps to what `SaeAfterStep` asks of it, also as
 * to `user`.
 */
SaeStatus sae_trainer_run(SaeTrainer *trainer, uint64_t steps, SaeAfterStep after, void *user);

/**
 * Steps done; 0 if it is NULL or at work.
 *
 * # Safety
 * `trainer` is NULL or of this library.
 */
uint64_t sae_trainer_steps(const SaeTrainer *trainer);

/**
 * The objective that a step's numbers make, the weight decay that of now.
 *
 * # Safety
 * `trainer` is NULL or of this library; `step` is NULL or to one, `objective` NULL or to room for
 * a number.
 */
SaeStatus sae_trainer_objective(const SaeTrainer *trainer, const SaeStep *step, double *objective);

/**
 * Hidden layers; 0 if it is NULL or at work.
 *
 * # Safety
 * `trainer` is NULL or of this library.
 */
size_t sae_trainer_hidden_layers(const SaeTrainer *trainer);

/**
 * Mean activation of every hidden layer over the last batch.
 *
 * # Safety
 * `trainer` is NULL or of this library; `means` is NULL or to room for `length` numbers.
 */
SaeStatus sae_trainer_mean_activations(const SaeTrainer *trainer, double *means, size_t length);

/**
 * How many parameters there are; 0 if it is NULL or at work.
 *
 * # Safety
 * `trainer` is NULL or of this library.
 */
size_t sae_trainer_parameter_count(const SaeTrainer *trainer);

/**
 * All parameters: layer by layer the weights `[inputs, outputs]`, row by row, then the biases;
 * behind them the logarithms of a JumpReLU's thresholds, or the one threshold of a batch-top-k
 * code.
 *
 * # Safety
 * `trainer` is NULL or of this library; `parameters` is NULL or to room for `length` numbers.
 */
SaeStatus sae_trainer_parameters(const SaeTrainer *trainer, float *parameters, size_t length);

/**
 * All settings, as one line of JSON: to be freed by `sae_string_free`.
 *
 * # Safety
 * `trainer` is NULL or of this library; `json` is NULL or to room for a pointer.
 */
SaeStatus sae_trainer_settings(const SaeTrainer *trainer, char **json);

/**
 * The objective over samples, which count as one batch; and, unless `layers_length` is 0, how
 * active each hidden layer is (`layers` has room for as many as there are).
 *
 * # Safety
 * `trainer` and `samples` are NULL or of this library; `evaluation` is NULL or to room for one,
 * `layers` NULL or to room for `layers_length`.
 */
SaeStatus sae_trainer_evaluate(SaeTrainer *trainer,
                               const SaeSamples *samples,
                               SaeEvaluation *evaluation,
                               SaeActivity *layers,
                               size_t layers_length);

/**
 * Codes of samples, `[samples, code]`, row by row; `length` is the room, in numbers.
 *
 * # Safety
 * `trainer` and `samples` are NULL or of this library; `codes` is NULL or to room for `length`
 * numbers.
 */
SaeStatus sae_trainer_encode(SaeTrainer *trainer,
                             const SaeSamples *samples,
                             float *codes,
                             size_t length);

/**
 * Reconstructions of samples, `[samples, features]`, row by row; `length` is the room, in numbers.
 *
 * # Safety
 * `trainer` and `samples` are NULL or of this library; `reconstructions` is NULL or to room for
 * `length` numbers.
 */
SaeStatus sae_trainer_reconstruct(SaeTrainer *trainer,
                                  const SaeSamples *samples,
                                  float *reconstructions,
                                  size_t length);

/**
 * Writes the network as it is now to a model file (safetensors). Until it is whole on the disk, a
 * file of that name stays as it was.
 *
 * # Safety
 * `trainer` is NULL or of this library, `path` NULL or a string that ends in 0.
 */
SaeStatus sae_trainer_save(SaeTrainer *trainer, const char *path);

/**
 * A copy of the network as it is now, with threads of its own (0 for as many as there are cores).
 *
 * # Safety
 * `trainer` is NULL or of this library; `autoencoder` is NULL or to room for a pointer.
 */
SaeStatus sae_trainer_autoencoder(const SaeTrainer *trainer,
                                  size_t threads,
                                  SaeAutoencoder **autoencoder);

/**
 * Reads a model file. `threads` is how many to use, 0 for as many as there are cores.
 *
 * # Safety
 * `path` is NULL or a string that ends in 0; `autoencoder` is NULL or to room for a pointer.
 */
SaeStatus sae_autoencoder_load(const char *path, size_t threads, SaeAutoencoder **autoencoder);

/**
 * Writes a model file (safetensors). Until it is whole on the disk, a file of that name stays as
 * it was.
 *
 * # Safety
 * `autoencoder` is NULL or of this library, `path` NULL or a string that ends in 0.
 */
SaeStatus sae_autoencoder_save(const SaeAutoencoder *autoencoder, const char *path);

/**
 * Frees an autoencoder, and ends its threads. NULL is none. One that is at work is left alone, and
 * `sae_last_error` says so.
 *
 * # Safety
 * `autoencoder` is NULL or of this library, and not used again unless it was left alone.
 */
void sae_autoencoder_free(SaeAutoencoder *autoencoder);

/**
 * Maps or reads a file as `sae_samples_open` does, scaled as the data that the autoencoder was
 * trained on.
 *
 * # Safety
 * `autoencoder` is NULL or of this library, `path` NULL or a string that ends in 0; `samples` is
 * NULL or to room for a pointer.
 */
SaeStatus sae_autoencoder_open(const SaeAutoencoder *autoencoder,
                               const char *path,
                               SaeSamples **samples);

/**
 * Features of a sample; 0 if it is NULL or at work.
 *
 * # Safety
 * `autoencoder` is NULL or of this library.
 */
size_t sae_autoencoder_features(const SaeAutoencoder *autoencoder);

/**
 * Units of the code; 0 if it is NULL or at work.
 *
 * # Safety
 * `autoencoder` is NULL or of this library.
 */
size_t sae_autoencoder_code_units(const SaeAutoencoder *autoencoder);

/**
 * Hidden layers; 0 if it is NULL or at work.
 *
 * # Safety
 * `autoencoder` is NULL or of this library.
 */
size_t sae_autoencoder_hidden_layers(const SaeAutoencoder *autoencoder);

/**
 * How many parameters there are; 0 if it is NULL or at work.
 *
 * # Safety
 * `autoencoder` is NULL or of this library.
 */
size_t sae_autoencoder_parameter_count(const SaeAutoencoder *autoencoder);

/**
 * All parameters, laid out as those of `sae_trainer_parameters`.
 *
 * # Safety
 * `autoencoder` is NULL or of this library; `parameters` is NULL or to room for `length` numbers.
 */
SaeStatus sae_autoencoder_parameters(const SaeAutoencoder *autoencoder,
                                     float *parameters,
                                     size_t length);

/**
 * All settings, as one line of JSON: to be freed by `sae_string_free`.
 *
 * # Safety
 * `autoencoder` is NULL or of this library; `json` is NULL or to room for a pointer.
 */
SaeStatus sae_autoencoder_settings(const SaeAutoencoder *autoencoder, char **json);

/**
 * As `sae_trainer_evaluate`.
 *
 * # Safety
 * `autoencoder` and `samples` are NULL or of this library; `evaluation` is NULL or to room for
 * one, `layers` NULL or to room for `layers_length`.
 */
SaeStatus sae_autoencoder_evaluate(SaeAutoencoder *autoencoder,
                                   const SaeSamples *samples,
                                   SaeEvaluation *evaluation,
                                   SaeActivity *layers,
                                   size_t layers_length);

/**
 * Codes of samples, `[samples, code]`, row by row; `length` is the room, in numbers.
 *
 * # Safety
 * `autoencoder` and `samples` are NULL or of this library; `codes` is NULL or to room for `length`
 * numbers.
 */
SaeStatus sae_autoencoder_encode(SaeAutoencoder *autoencoder,
                                 const SaeSamples *samples,
                                 float *codes,
                                 size_t length);

/**
 * Reconstructions `[count, features]`, row by row, from `count` codes, `[count, code]`; the
 * lengths are in numbers.
 *
 * # Safety
 * `autoencoder` is NULL or of this library; `codes` is NULL or to `codes_length` numbers,
 * `reconstructions` NULL or to room for `length` others.
 */
SaeStatus sae_autoencoder_decode(SaeAutoencoder *autoencoder,
                                 const float *codes,
                                 size_t codes_length,
                                 float *reconstructions,
                                 size_t length);

/**
 * Reconstructions of samples, `[samples, features]`, row by row; `length` is the room, in numbers.
 *
 * # Safety
 * `autoencoder` and `samples` are NULL or of this library; `reconstructions` is NULL or to room
 * for `length` numbers.
 */
SaeStatus sae_autoencoder_reconstruct(SaeAutoencoder *autoencoder,
                                      const SaeSamples *samples,
                                      float *reconstructions,
                                      size_t length);

/**
 * The kernels of an instruction set: "avx512", "avx2", "neon", "portable" or "scalar"; NULL for
 * the one that the environment's SAE_ISA names, or else the fastest.
 *
 * # Safety
 * `name` is NULL or a string that ends in 0; `kernels` is NULL or to room for a pointer.
 */
SaeStatus sae_kernels_new(const char *name, SaeKernels **kernels);

/**
 * Frees kernels. NULL is none. Those at work are left alone, and `sae_last_error` says so.
 *
 * # Safety
 * `kernels` is NULL or of this library, and not used again unless it was left alone.
 */
void sae_kernels_free(SaeKernels *kernels);

/**
 * The instruction set's name, which stays as long as the kernels; NULL if they are.
 *
 * # Safety
 * `kernels` is NULL or of this library.
 */
const char *sae_kernels_name(const SaeKernels *kernels);

/**
 * c = a b: `[m, n] = [m, k] [k, n]`, each number one chain of multiply-adds in the order of k,
 * fused on every set but "portable". Strides count numbers: that of `a` and of `b` is 1 along the
 * rows or along the columns, so a transpose is its strides swapped; rows of `c` are contiguous,
 * `c_row_stride` apart. `c` lies apart from both, and what it holds is not read.
 *
 * # Safety
 * `kernels` is NULL or of this library; `a`, `b` and `c` are NULL or to memory from their first to
 * their last number.
 */
SaeStatus sae_kernels_gemm(SaeKernels *kernels,
                           size_t m,
                           size_t k,
                           size_t n,
                           const float *a,
                           size_t a_row_stride,
                           size_t a_col_stride,
                           const float *b,
                           size_t b_row_stride,
                           size_t b_col_stride,
                           float *c,
                           size_t c_row_stride);

/**
 * Puts a function of each number in its place: "exp", "ln", "sigmoid" or "tanh".
 *
 * # Safety
 * `kernels` is NULL or of this library, `function` NULL or a string that ends in 0, `values` NULL
 * or to `length` numbers.
 */
SaeStatus sae_kernels_map(SaeKernels *kernels, const char *function, float *values, size_t length);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SAE_H */
