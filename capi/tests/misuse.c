/* Misuse of the API by a C program, which each returns a status and a message; and correct use that the Rust
 * tests do not cover: two threads, a callback, kernels. The last line is "N passed, N failed". */
#include <sae.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <threads.h>

static int passed, failed;

static void expect(int holds, const char *what, int line) {
    if (holds) {
        passed++;
    } else {
        failed++;
        printf("line %d: %s (last error: %s)\n", line, what, sae_last_error());
    }
}

#define EXPECT(what) expect((what), #what, __LINE__)
/* Checks the status of a call that fails, and a part of its message. */
#define REFUSED(status, message, call) \
    expect((call) == (status) && strstr(sae_last_error(), message) != NULL, #call, __LINE__)

static const char *SMALL = "{\"layers\": [4, 2, 4], \"batch\": 3, \"seed\": 7}";

static float value(size_t at) { return (float)(at * at % 11) / 10.0f; }

struct Seen {
    int calls, busy, refused, parameters;
};

static int read_only(void *user, SaeTrainer *trainer, const SaeStep *step) {
    struct Seen *seen = user;
    seen->calls++;
    /* The callback may read the trainer, but neither run nor free it. */
    seen->parameters += sae_trainer_parameter_count(trainer) == 4 * 2 + 2 + 2 * 4 + 4;
    seen->busy += sae_trainer_run(trainer, 1, NULL, NULL) == SAE_STATUS_BUSY;
    sae_trainer_free(trainer);
    seen->refused += strstr(sae_last_error(), "not freed") != NULL;
    return step->step == 5;
}

static int free_elsewhere(void *trainer) {
    int fresh = strcmp(sae_last_error(), "") == 0;
    SaeStep step;
    int stepped = sae_trainer_step(trainer, &step) == SAE_STATUS_OK && step.step == 6;
    sae_trainer_free(trainer);
    return fresh && stepped;
}

/* Rows that are computed when they are needed; user counts how often they are released. */
static int compute_row(void *user, size_t row, float *values, size_t count) {
    if (user == NULL || row >= 10) return 1;
    for (size_t i = 0; i < count; i++) values[i] = value(row * count + i);
    return 0;
}

static void release_rows(void *user) { ++*(int *)user; }

static void several_files_and_rows(void) {
    SaeSamples *samples;
    const char *paths[] = {"no such.npy", "nor this.npy"};
    REFUSED(SAE_STATUS_IO, "no such.npy", sae_samples_open_all(paths, 2, NULL, &samples));
    EXPECT(samples == NULL);
    paths[1] = NULL;
    REFUSED(SAE_STATUS_ARGUMENT, "paths[1]: expected a pointer", sae_samples_open_all(paths, 2, NULL, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "count: expected at least 1", sae_samples_open_all(NULL, 0, NULL, &samples));
    int released = 0;
    REFUSED(SAE_STATUS_ARGUMENT, "got 0 x 4",
            sae_samples_from_source(0, 4, compute_row, &released, release_rows, NULL, &samples));
    EXPECT(released == 1);
    REFUSED(SAE_STATUS_SHAPE, "row 10: the callback returned 1",
            sae_samples_from_source(11, 4, compute_row, &released, release_rows, "center", &samples));
    EXPECT(released == 2);
    EXPECT(sae_samples_from_source(10, 4, compute_row, &released, release_rows, NULL, &samples) == SAE_STATUS_OK);
    SaeTrainer *trainer;
    EXPECT(sae_trainer_new(SMALL, samples, 1, &trainer) == SAE_STATUS_OK);
    sae_samples_free(samples);
    EXPECT(sae_trainer_run(trainer, 20, NULL, NULL) == SAE_STATUS_OK && released == 2);
    sae_trainer_free(trainer);
    EXPECT(released == 3);
}

static void samples_and_trainer(void) {
    float data[10 * 4];
    for (size_t i = 0; i < 40; i++) data[i] = value(i);
    SaeSamples *samples = (SaeSamples *)data, *none = NULL;
    REFUSED(SAE_STATUS_ARGUMENT, "data: expected a pointer", sae_samples_from_f32(NULL, 10, 4, 4, 1, &samples));
    EXPECT(samples == NULL);
    REFUSED(SAE_STATUS_ARGUMENT, "got 0 and 1", sae_samples_from_f32(data, 10, 4, 0, 1, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "got 4 and 0", sae_samples_from_f32(data, 10, 4, 4, 0, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "got 0 x 4", sae_samples_from_f32(data, 0, 4, 4, 1, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "address space", sae_samples_from_f32(data, SIZE_MAX, 4, 4, 1, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "a multiple of 4",
            sae_samples_from_f32((const float *)(const void *)((const char *)data + 1), 9, 4, 4, 1, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "samples: expected a pointer", sae_samples_from_f32(data, 10, 4, 4, 1, NULL));
    REFUSED(SAE_STATUS_ARGUMENT, "path: expected a pointer", sae_samples_open(NULL, NULL, &samples));
    REFUSED(SAE_STATUS_ARGUMENT, "expected UTF-8", sae_samples_open("\xff\xfe", NULL, &samples));
    REFUSED(SAE_STATUS_IO, "no such.idx", sae_samples_open("no such.idx", NULL, &samples));
    EXPECT(sae_samples_count(NULL) == 0 && sae_samples_features(NULL) == 0);
    sae_samples_free(NULL);

    EXPECT(sae_samples_from_f32(data, 10, 4, 4, 1, &samples) == SAE_STATUS_OK);
    EXPECT(sae_samples_count(samples) == 10 && sae_samples_features(samples) == 4);

    SaeTrainer *trainer = (SaeTrainer *)data;
    REFUSED(SAE_STATUS_ARGUMENT, "samples: expected a pointer", sae_trainer_new(SMALL, none, 1, &trainer));
    EXPECT(trainer == NULL);
    REFUSED(SAE_STATUS_SETTING, "EOF", sae_trainer_new("{\"layers\": ", samples, 1, &trainer));
    REFUSED(SAE_STATUS_SETTING, "settings: expected one of preset, layers",
            sae_trainer_new("{\"rate\": 1}", samples, 1, &trainer));
    /* Without settings the preset is fitted to the samples. */
    EXPECT(sae_trainer_new(NULL, samples, 1, &trainer) == SAE_STATUS_OK);
    sae_trainer_free(trainer);
    REFUSED(SAE_STATUS_SETTING, "layers: ", sae_trainer_new("{\"layers\": [5, 2, 5]}", samples, 1, &trainer));
    REFUSED(SAE_STATUS_ARGUMENT, "trainer: expected a pointer", sae_trainer_new(SMALL, samples, 1, NULL));
    EXPECT(sae_trainer_new(SMALL, samples, 2, &trainer) == SAE_STATUS_OK);
    sae_samples_free(samples); /* The trainer keeps the data. */

    SaeStep step;
    EXPECT(sae_trainer_step(trainer, &step) == SAE_STATUS_OK && step.step == 1 && isfinite(step.loss));
    EXPECT(sae_trainer_step(trainer, NULL) == SAE_STATUS_OK);
    REFUSED(SAE_STATUS_ARGUMENT, "trainer: expected a pointer", sae_trainer_step(NULL, &step));
    REFUSED(SAE_STATUS_ARGUMENT, "expected 1 to 3 samples, got 4", sae_trainer_step_on(trainer, data, 4, 4, 4, 1, &step));
    REFUSED(SAE_STATUS_SHAPE, "samples of 4 numbers, got 15", sae_trainer_step_on(trainer, data, 3, 5, 5, 1, &step));
    EXPECT(sae_trainer_step_on(trainer, data, 3, 4, 8, 2, NULL) == SAE_STATUS_OK);
    float codes[10 * 2];
    REFUSED(SAE_STATUS_ARGUMENT, "samples: expected a pointer", sae_trainer_encode(trainer, NULL, codes, 20));
    REFUSED(SAE_STATUS_ARGUMENT, "got 5", sae_trainer_parameters(trainer, codes, 5));

    struct Seen seen = {0, 0, 0, 0};
    EXPECT(sae_trainer_run(trainer, 100, read_only, &seen) == SAE_STATUS_OK);
    EXPECT(seen.calls == 2 && seen.busy == 2 && seen.refused == 2 && seen.parameters == 2);
    EXPECT(sae_trainer_steps(trainer) == 5);

    /* Made in this thread, used and freed in another. */
    thrd_t other;
    int outcome = 0;
    EXPECT(thrd_create(&other, free_elsewhere, trainer) == thrd_success);
    thrd_join(other, &outcome);
    EXPECT(outcome == 1);
    sae_trainer_free(NULL);
}

static void kernels(void) {
    SaeKernels *kernels;
    REFUSED(SAE_STATUS_SETTING, "'sse9'", sae_kernels_new("sse9", &kernels));
    EXPECT(kernels == NULL && sae_kernels_name(NULL) == NULL);
    EXPECT(sae_kernels_new(NULL, &kernels) == SAE_STATUS_OK);
    printf("kernels of %s\n", sae_kernels_name(kernels));
    enum { M = 13, K = 37, N = 21 };
    /* a column-major, b and c row-major with gaps. */
    static float a[K * M], b[K * (N + 2)], c[M * (N + 5)];
    for (size_t i = 0; i < K * M; i++) a[i] = value(i) - 0.4f;
    for (size_t i = 0; i < K * (N + 2); i++) b[i] = value(i + 3) - 0.5f;
    EXPECT(sae_kernels_gemm(kernels, M, K, N, a, 1, M, b, N + 2, 1, c, N + 5) == SAE_STATUS_OK);
    int near = 1, gaps = 1;
    for (size_t i = 0; i < M; i++) {
        for (size_t j = 0; j < N + 5; j++) {
            double sum = 0;
            for (size_t k = 0; k < K && j < N; k++) sum += (double)a[k * M + i] * b[k * (N + 2) + j];
            near &= fabs(sum - c[i * (N + 5) + j]) < 1e-5;
            gaps &= j < N || c[i * (N + 5) + j] == 0;
        }
    }
    EXPECT(near);
    EXPECT(gaps);
    REFUSED(SAE_STATUS_ARGUMENT, "got strides of 2 and 40", sae_kernels_gemm(kernels, M, K, N, a, 2, 40, b, N, 1, c, N));
    REFUSED(SAE_STATUS_ARGUMENT, "c: expected a row stride of at least 21", sae_kernels_gemm(kernels, M, K, N, a, 1, M, b, N, 1, c, 20));
    REFUSED(SAE_STATUS_ARGUMENT, "c: expected memory that does not overlap", sae_kernels_gemm(kernels, M, K, N, a, 1, M, b, N, 1, a + 60, N));
    REFUSED(SAE_STATUS_ARGUMENT, "b: expected a pointer", sae_kernels_gemm(kernels, M, K, N, a, 1, M, NULL, N, 1, c, N));
    REFUSED(SAE_STATUS_ARGUMENT, "c: expected a pointer", sae_kernels_gemm(kernels, M, K, N, a, 1, M, b, N, 1, NULL, N));
    float values[] = {-1, 0, 2};
    EXPECT(sae_kernels_map(kernels, "sigmoid", values, 3) == SAE_STATUS_OK);
    EXPECT(fabsf(values[0] - 0.26894142f) < 1e-6f && values[1] == 0.5f && fabsf(values[2] - 0.880797f) < 1e-6f);
    REFUSED(SAE_STATUS_ARGUMENT, "got 'sine'", sae_kernels_map(kernels, "sine", values, 3));
    REFUSED(SAE_STATUS_ARGUMENT, "values: expected a pointer", sae_kernels_map(kernels, "exp", NULL, 3));
    EXPECT(sae_kernels_map(kernels, "exp", NULL, 0) == SAE_STATUS_OK);
    sae_kernels_free(kernels);
    sae_kernels_free(NULL);
}

static void files(void) {
    SaeAutoencoder *autoencoder;
    REFUSED(SAE_STATUS_IO, "no such.safetensors", sae_autoencoder_load("no such.safetensors", 1, &autoencoder));
    EXPECT(autoencoder == NULL);
    sae_autoencoder_free(NULL);
    char *json = NULL;
    EXPECT(sae_settings_preset("plain", &json) == SAE_STATUS_OK && strstr(json, "\"beta\":0.0") != NULL);
    sae_string_free(json);
    REFUSED(SAE_STATUS_SETTING, "got 'dense'", sae_settings_preset("dense", &json));
    EXPECT(json == NULL);
    REFUSED(SAE_STATUS_SETTING, "expected an object", sae_settings_complete("[]", &json));
    sae_string_free(NULL);
    uint8_t image[784], label;
    REFUSED(SAE_STATUS_ARGUMENT, "expected a length of 1568, got 784", sae_draw_digits(2, 1, image, 784, NULL, 0));
    REFUSED(SAE_STATUS_ARGUMENT, "images: expected a pointer", sae_draw_digits(1, 1, NULL, 784, NULL, 0));
    EXPECT(sae_draw_digits(1, 1, image, 784, &label, 1) == SAE_STATUS_OK && label < 10);
}

int main(void) {
    EXPECT(strcmp(sae_last_error(), "") == 0);
    EXPECT(strcmp(sae_version(), SAE_VERSION) == 0);
    samples_and_trainer();
    several_files_and_rows();
    kernels();
    files();
    printf("%d passed, %d failed\n", passed, failed);
    return failed != 0;
}
