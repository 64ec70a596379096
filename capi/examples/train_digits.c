/* Trains on generated digits, evaluates the network, saves it to a file and loads it again.
 *
 *     cc train_digits.c $(pkg-config --cflags --libs sae) -o train_digits
 *     ./train_digits [STEPS [MODEL]]
 */
#include <sae.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TRAIN = 2000, TEST = 250, PIXELS = 28 * 28, CODE = 30, HIDDEN = 3 };

static void check(SaeStatus status) {
    if (status != SAE_STATUS_OK) {
        fprintf(stderr, "error: %s\n", sae_last_error());
        exit(1);
    }
}

static void *allocate(size_t count, size_t size) {
    void *memory = calloc(count, size);
    if (memory == NULL) {
        fprintf(stderr, "error: out of memory for %zu times %zu bytes\n", count, size);
        exit(1);
    }
    return memory;
}

/* Prints ten lines in the whole training, and ends it when the loss is small enough. */
static int after_step(void *user, SaeTrainer *trainer, const SaeStep *step) {
    const uint64_t *every = user;
    if (step->step % *every == 0) {
        double objective, means[HIDDEN];
        check(sae_trainer_objective(trainer, step, &objective));
        check(sae_trainer_mean_activations(trainer, means, HIDDEN));
        printf("step %5llu  objective %.5f  mean activations %.4f %.4f\n",
               (unsigned long long)step->step, objective, means[0], means[1]);
    }
    return step->loss < 1e-4;
}

int main(int argc, char **argv) {
    uint64_t steps = argc > 1 ? strtoull(argv[1], NULL, 10) : 1000;
    const char *path = argc > 2 ? argv[2] : "digits.safetensors";
    uint64_t every = steps < 10 ? 1 : steps / 10;
    printf("sae %s\n", sae_version());

    /* Images in the memory of this program: the first for training, the others for the test. */
    uint8_t *images = allocate(TRAIN + TEST, PIXELS);
    check(sae_draw_digits(TRAIN + TEST, 1, images, (size_t)(TRAIN + TEST) * PIXELS, NULL, 0));
    SaeSamples *train, *test;
    check(sae_samples_from_u8(images, TRAIN, PIXELS, PIXELS, 1, &train));
    check(sae_samples_from_u8(images + (size_t)TRAIN * PIXELS, TEST, PIXELS, PIXELS, 1, &test));
    free(images);

    /* Settings that are not named are those of the preset "sparse". */
    SaeTrainer *trainer;
    check(sae_trainer_new("{\"layers\": [784, 300, 30, 300, 784], \"batch\": 60, \"seed\": 1}",
                          train, 0, &trainer));
    check(sae_trainer_run(trainer, steps, after_step, &every));

    SaeEvaluation evaluation;
    SaeActivity layers[HIDDEN];
    check(sae_trainer_evaluate(trainer, test, &evaluation, layers, HIDDEN));
    printf("test: objective %.5f = %.5f + penalty %.5f + weight decay; explained variance %.3f\n",
           evaluation.objective, evaluation.loss, evaluation.penalty,
           evaluation.explained_variance);
    for (int layer = 0; layer < HIDDEN; layer++)
        printf("hidden layer %d: %zu units, mean activation %.4f, L0 %.1f\n",
               layer + 1, layers[layer].units, layers[layer].mean_activation, layers[layer].l0);

    float *codes = allocate(TEST, CODE * sizeof(float));
    check(sae_trainer_encode(trainer, test, codes, (size_t)TEST * CODE));
    printf("code of the first test image: %.3f %.3f %.3f ...\n", codes[0], codes[1], codes[2]);

    /* The model that is loaded again has the same reconstructions, bit for bit, also from the codes. */
    size_t values = (size_t)TEST * PIXELS;
    float *before = allocate(values, sizeof(float));
    float *after = allocate(values, sizeof(float));
    float *decoded = allocate(values, sizeof(float));
    check(sae_trainer_reconstruct(trainer, test, before, values));
    check(sae_trainer_save(trainer, path));
    sae_trainer_free(trainer);
    SaeAutoencoder *loaded;
    check(sae_autoencoder_load(path, 0, &loaded));
    check(sae_autoencoder_reconstruct(loaded, test, after, values));
    check(sae_autoencoder_decode(loaded, codes, (size_t)TEST * CODE, decoded, values));
    int same = memcmp(before, after, values * sizeof(float)) == 0 &&
               memcmp(before, decoded, values * sizeof(float)) == 0;
    printf("%s: %zu parameters, reconstructions %s\n", path,
           sae_autoencoder_parameter_count(loaded), same ? "the same" : "NOT THE SAME");

    sae_autoencoder_free(loaded);
    sae_samples_free(train);
    sae_samples_free(test);
    free(codes);
    free(before);
    free(after);
    free(decoded);
    return same ? 0 : 1;
}
