/*
 * Foveola: what did the classifier look at? For firmware in C or C++ whose
 * network runs in an engine of its own (TFLite Micro, X-CUBE-AI, ESP-DL, by hand).
 *
 * The engine is a black box: Foveola writes a picture, partly hidden, into the
 * engine's input tensor, calls a function of yours that runs the network, and
 * reads one score a class. Three methods ask like this:
 *
 *   foveola_occlusion   what a score loses when a window hides a part
 *   foveola_rise        mean score of the random masks that show a pixel
 *   foveola_hoc         the smallest boxes that are enough for a class, as a tree
 *
 * For the same scores the maps have the same bits as those of the program
 * `foveola` on a PC. For that the floating-point unit must be as it is after
 * reset (round to nearest, subnormals kept: FPSCR.FZ and FPSCR.DN 0); if your
 * own code around the network computes in f32, compile it with -ffp-contract=off.
 *
 * Build:  cargo build --release -p foveola-c --target thumbv7em-none-eabihf
 * Link:   ... libfoveola.a -Wl,--gc-sections
 *
 * Floating-point numbers only travel through memory, so the ABI (soft, softfp,
 * hard) of the caller does not matter; take the target whose instructions the
 * chip has: thumbv7em-none-eabihf (Cortex-M4F, M7), thumbv7em-none-eabi (M4
 * without a floating-point unit), thumbv8m.main-none-eabihf (M33, M55),
 * thumbv6m-none-eabi (M0+), riscv32imc-unknown-none-elf (ESP32-C3).
 * (The linker of GCC refuses to mix objects that are marked hard and soft: the
 * target ending in "hf" belongs to -mfloat-abi=hard.)
 *
 * Nothing is allocated, nothing is kept between calls, no call recurses. A call
 * may run on any thread, several at once if their memory and engines are apart.
 * No panic can be reached: where the library could panic, the link fails with an
 * undefined reference to foveola_a_panic_is_reachable. (Without --gc-sections
 * the linker sees this name in code that nobody calls.)
 *
 * MEMORY belongs to you, all of it, before, during and after a call. During a
 * call nobody else may write what the call reads or touch what it writes: the
 * maps, the outcomes, the scratch, the tree, and the engine's input, which only
 * the engine may use besides. What a call writes must not overlap anything else
 * that it is given. Null, misaligned and overlapping pointers are refused with
 * a code; a pointer to too little memory cannot be recognised.
 *
 *   static int8_t input[96 * 96 * 3];              // the engine's input tensor
 *   static uint32_t scratch[FOVEOLA_OCCLUSION_SCRATCH(96, 3, 2, 1) / 4];
 *   static float map[96 * 96];
 *   static foveola_outcome outcome;
 *
 *   static int32_t run(void *user, uint32_t score, float *out) {
 *       if (interpreter_invoke() != 0) return -1;  // reads `input`
 *       for (int k = 0; k < 2; k++)                // after a softmax in int8
 *           out[k] = (output[k] + 128) * (1.0f / 256.0f);
 *       return 0;
 *   }
 *
 *   foveola_engine engine = { 96, 96, 3, 2, FOVEOLA_I8, 1.0f / 255.0f, -128, input, run, NULL };
 *   size_t person = 1;
 *   foveola_question question = { 0 };
 *   question.picture = pixels;                     // 96 * 96 * 3 bytes
 *   question.picture_element = FOVEOLA_U8;
 *   for (int c = 0; c < 3; c++) question.scale[c] = 1.0f / 255.0f;
 *   question.targets = &person;
 *   question.target_count = 1;
 *   question.score = FOVEOLA_PROBABILITY;
 *   foveola_answer answer = { map, 96 * 96, &outcome, 1, scratch, sizeof scratch, { 0 } };
 *   foveola_occlusion_parameters parameters = FOVEOLA_OCCLUSION_DEFAULT;
 *   int32_t code = foveola_occlusion(&engine, &question, &parameters, &answer);
 */
#ifndef FOVEOLA_H
#define FOVEOLA_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Number of this interface; foveola_abi() says that of the library. */
#define FOVEOLA_ABI 1u

/* ---- Codes: what every function returns ---------------------------------- */

#define FOVEOLA_OK 0                     /* the answer is complete */
/* The numbers of the errors of Foveola's core, as host/docs/link.md lists them
 * (those that cannot come from a black box are left out). */
#define FOVEOLA_BUFFER_TOO_SMALL 14      /* numbers: needed, there. Text "scratch": bytes; else elements */
#define FOVEOLA_TARGET_OUT_OF_RANGE 16   /* numbers: target, classes */
#define FOVEOLA_PICTURE_NOT_FINITE 17    /* NaN or infinity in picture, fill or their mean and scale */
#define FOVEOLA_SCORE_NOT_FINITE 19      /* numbers: class. NaN or infinity, or your function wrote nothing */
#define FOVEOLA_BAD_PARAMETER 21         /* text: which */
#define FOVEOLA_ENGINE_FAILED 24         /* your function returned something else than 0: failure.engine */
#define FOVEOLA_INTERNAL 25              /* a fault of Foveola: please report it */
/* Of this interface. */
#define FOVEOLA_NULL 64                  /* text: which pointer */
#define FOVEOLA_MISALIGNED 65            /* text: which pointer */
#define FOVEOLA_OVERLAP 66               /* memory that a call writes overlaps other memory of it */

/* ---- The engine ----------------------------------------------------------- */

/* Kinds of elements. */
#define FOVEOLA_F32 0u   /* real numbers in model space */
#define FOVEOLA_I8 1u    /* real = (stored - zero_point) * scale */
#define FOVEOLA_U8 2u    /* the same in an engine; in a picture pixels, 0 to 255 */

/* Kinds of scores. */
#define FOVEOLA_LOGIT 0u         /* before the final softmax or sigmoid */
#define FOVEOLA_PROBABILITY 1u   /* after it */

/* Runs the network on what lies in the engine's input and writes one score a
 * class to `out`. `score` is what the question asks for; an engine that has one
 * kind of score only may ignore it, if questions ask for that kind. Returns 0, or
 * a number of yours, which ends the call. It may change the input tensor: it is
 * written anew before every call. `out` is only valid during the call. */
typedef int32_t (*foveola_scores)(void *user, uint32_t score, float *out);

typedef struct {
    uint32_t height, width, channels; /* of the input, in elements; at most 2^26 elements */
    uint32_t classes;                 /* scores that your function writes */
    uint32_t element;                 /* FOVEOLA_F32, FOVEOLA_I8 or FOVEOLA_U8 */
    float scale;                      /* of the input, above 0; unused for FOVEOLA_F32 */
    int32_t zero_point;               /* -128 to 127, or 0 to 255 for FOVEOLA_U8; unused for FOVEOLA_F32 */
    void *input;                      /* height * width * channels elements, channels innermost;
                                         aligned to 4 for FOVEOLA_F32 */
    foveola_scores scores;
    void *user;                       /* handed to `scores` as it is */
} foveola_engine;
/* Numbers are stored as TFLite does: real / scale, rounded with halves away from
 * zero, plus zero_point, saturated. Keep the input's memory out of a data cache
 * or clean it in `scores` if an accelerator reads it. */

/* ---- The question --------------------------------------------------------- */

/* Told after every pass how far a method is; 0 stops it: then the maps hold what
 * `done` passes give and the outcome is FOVEOLA_PARTIAL. HOC does not know the
 * total from the start: there it grows. A good place to feed a watchdog. */
typedef int32_t (*foveola_progress)(void *user, uint64_t done, uint64_t total);

#define FOVEOLA_MAX_TARGETS 16u
#define FOVEOLA_DEFAULT_SEED 0u

typedef struct {
    uint64_t seed;                    /* key of all random numbers; the same seed, the same masks */
    const void *picture;              /* elements of the engine's shape, channels innermost */
    uint32_t picture_element;         /* FOVEOLA_U8: pixels, up to 4 channels; FOVEOLA_F32: model space, aligned to 4 */
    float mean[4], scale[4];          /* model space = (pixel - mean) * scale, channel by channel; only for pixels,
                                         where no scale may be 0.
                                         (int8 numbers q with zero point z and scale s are pixels
                                         (uint8_t)(q ^ 0x80) of mean z + 128 and scale s.) */
    float fill[4];                    /* what shows where the picture is hidden, in model space, a number a channel;
                                         for a grey g: (g - mean) * scale. Above 4 channels fill[0] for all */
    const void *fill_picture;         /* a picture instead of `fill`, of the same kind (blurred, say); or null */
    const size_t *targets;            /* classes to explain, from 0; all share the passes */
    size_t target_count;              /* 1 to FOVEOLA_MAX_TARGETS */
    uint32_t score;                   /* FOVEOLA_LOGIT or FOVEOLA_PROBABILITY (the usual one) */
    foveola_progress progress;        /* or null */
    void *user;                       /* handed to `progress` as it is */
} foveola_question;

/* ---- The answer ----------------------------------------------------------- */

/* What became of a map. */
#define FOVEOLA_MAP 0u         /* it has differences to see */
#define FOVEOLA_FLAT 1u        /* no evidence: all the same, or the score never moved */
#define FOVEOLA_UNDEFINED 2u   /* there is no map, for `reason` */
#define FOVEOLA_PARTIAL 3u     /* stopped after `done` of `total` passes */

typedef struct {
    uint64_t done, total;
    uint32_t kind;
    uint32_t reason_length;
    const char *reason;               /* English, static, NOT ended by 0: printf("%.*s", (int)reason_length, reason) */
} foveola_outcome;

/* Why there is no answer; fresh after every call. */
typedef struct {
    int32_t engine;                   /* what your function returned, for FOVEOLA_ENGINE_FAILED */
    uint32_t numbers[6];              /* see the codes; 0 where unused */
    uint32_t text_length;
    const char *text;                 /* static, NOT ended by 0; null after FOVEOLA_OK */
} foveola_failure;

typedef struct {
    float *maps;                      /* one map a target, one after the other: raw, signed, row by row */
    size_t map_elements;              /* at least target_count * height * width (see foveola_occlusion) */
    foveola_outcome *outcomes;        /* one a target; written after FOVEOLA_OK alone */
    size_t outcome_count;             /* at least target_count */
    void *scratch;                    /* aligned to 4; nothing in it counts before or after */
    size_t scratch_bytes;             /* at least what the method's macro says */
    foveola_failure failure;          /* written by every call */
} foveola_answer;
/* Maps, scratch and tree are cleared as soon as a call has been checked; after a
 * code other than FOVEOLA_OK they hold nothing of use. */

/* ---- RISE (Petsiuk et al. 2018, arXiv 1806.07421) ------------------------- */

typedef struct {
    uint32_t masks;                   /* passes, above 0 */
    uint32_t grid;                    /* cells along each side of a mask, 1 to 64 */
    float keep;                       /* share of kept cells, above 0, at most 1 */
    uint32_t by_coverage;             /* 1: each pixel's sum is divided by its own weights: less noise */
    uint32_t mindspore;               /* 1: the masks and numbers of MindSpore XAI */
} foveola_rise_parameters;

#define FOVEOLA_RISE_DEFAULT { 4000u, 7u, 0.5f, 0u, 0u }

/* Bytes; a constant if its arguments are. */
#define FOVEOLA_RISE_SCRATCH(height, width, channels, classes, targets, by_coverage) \
    (4u * ((size_t)(width) * (channels) + (classes) + (width) + 2u * (targets) \
           + ((by_coverage) ? (size_t)(height) * (width) : 0u)))

/* Maps: height x width, one number a pixel. */
int32_t foveola_rise(const foveola_engine *engine, const foveola_question *question,
                     const foveola_rise_parameters *parameters, foveola_answer *answer);

/* ---- Occlusion (Zeiler and Fergus 2014, arXiv 1311.2901, section 4.2) ----- */

typedef struct {
    uint32_t window[3];               /* channels (0: all), rows, columns; all 0: a seventh of each side */
    uint32_t stride[3];               /* along the same axes (0 channels: the window's); all 0: half a window */
    uint32_t mindspore;               /* 1: the windows and numbers of MindSpore XAI */
} foveola_occlusion_parameters;

#define FOVEOLA_OCCLUSION_DEFAULT { { 0u, 0u, 0u }, { 0u, 0u, 0u }, 0u }

/* Bytes. */
#define FOVEOLA_OCCLUSION_SCRATCH(width, channels, classes, targets) \
    (4u * ((size_t)(width) * (channels) + (classes) + (targets)))

/* Maps: height x width; height x width x channels, channels innermost, if a
 * window takes fewer channels than there are. */
int32_t foveola_occlusion(const foveola_engine *engine, const foveola_question *question,
                          const foveola_occlusion_parameters *parameters, foveola_answer *answer);

/* ---- HOC, hierarchical occlusion counterfactual (MindSpore XAI 1.5) ------- */

#define FOVEOLA_MAX_LAYERS 8u
#define FOVEOLA_REVEAL 0u   /* boxes reveal a hidden picture until the score is at least the threshold */
#define FOVEOLA_COVER 1u    /* boxes cover the picture until the score is at most the threshold */

/* A box of the tree. Steps lie layer by layer; children of one step side by side. */
typedef struct {
    uint32_t layer;                   /* from 0 */
    uint32_t y, x, height, width;     /* pixels */
    float score;                      /* after this step */
    float change;                     /* what this step changed */
    int32_t parent;                   /* index of the step that this one refines; -1 in layer 0 */
} foveola_step;

typedef struct {
    uint32_t mode;                    /* FOVEOLA_REVEAL or FOVEOLA_COVER */
    float threshold;                  /* score that decides */
    uint32_t layers;                  /* numbers used of the two lists; 0: automatic, for sides of 56 pixels or more */
    uint32_t windows[FOVEOLA_MAX_LAYERS]; /* sides of the boxes in pixels, descending, the first below the short side */
    uint32_t strides[FOVEOLA_MAX_LAYERS]; /* first 0: a fifth of each window; else 1 to the window */
    foveola_step *tree;               /* memory of the search, and the tree afterwards */
    size_t tree_steps;                /* its places; a search seldom finds more than a hundred */
} foveola_hoc_parameters;

#define FOVEOLA_HOC_DEFAULT { FOVEOLA_REVEAL, 0.5f, 0u, { 0u }, { 0u }, NULL, 0u }

/* What was found. */
typedef struct {
    uint64_t passes;                  /* passes done */
    uint32_t steps;                   /* steps of the tree; 0 if there is none */
    uint32_t layers;                  /* its layers */
    uint32_t complete;                /* 0 if the search was stopped: then only layer 0 is there */
    float scores[FOVEOLA_MAX_LAYERS]; /* score of each layer's picture */
} foveola_region;

/* Bytes. */
#define FOVEOLA_HOC_SCRATCH(width, channels, classes, tree_steps) \
    (4u * ((size_t)(width) * (channels) + (classes)) + 76u * (tree_steps))

/* One target only. Map: height x width, for each pixel the deepest layer that
 * shows it, from 1; 0: none. FOVEOLA_BUFFER_TOO_SMALL with tree_steps as the
 * second number: the tree outgrew its places. */
int32_t foveola_hoc(const foveola_engine *engine, const foveola_question *question,
                    const foveola_hoc_parameters *parameters, foveola_answer *answer,
                    foveola_region *region);

/* FOVEOLA_ABI of the library. */
uint32_t foveola_abi(void);

/* The library states the same sizes. */
#if UINTPTR_MAX == 0xFFFFFFFFu
#define FOVEOLA_SIZE(type, bytes) typedef char type##_has_its_size[sizeof(type) == (bytes) ? 1 : -1]
FOVEOLA_SIZE(foveola_engine, 40u);
FOVEOLA_SIZE(foveola_question, 88u);
FOVEOLA_SIZE(foveola_outcome, 32u);
FOVEOLA_SIZE(foveola_failure, 36u);
FOVEOLA_SIZE(foveola_answer, 60u);
FOVEOLA_SIZE(foveola_rise_parameters, 20u);
FOVEOLA_SIZE(foveola_occlusion_parameters, 28u);
FOVEOLA_SIZE(foveola_hoc_parameters, 84u);
FOVEOLA_SIZE(foveola_step, 32u);
FOVEOLA_SIZE(foveola_region, 56u);
#undef FOVEOLA_SIZE
#endif

#ifdef __cplusplus
}
#endif

#endif
