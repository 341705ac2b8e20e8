/* A firmware in C with a classifier of its own, which asks Foveola what that
 * looks at and prints the answers. `tests/tests/device/c_library.rs` asks the
 * same questions on a PC. */
#include "foveola.h"
#include "start.h"

enum { H = 24, W = 20, C = 3, CLASSES = 3, LENGTH = H * W * C, STEPS = 64 };

static uint8_t picture[LENGTH];
static float tensor[LENGTH], other[LENGTH];
static union {
    int8_t i8[LENGTH];
    uint8_t u8[LENGTH];
    float f32[LENGTH];
} input;
static float maps[2 * LENGTH];
static foveola_outcome outcomes[2];
static uint32_t scratch[4096];
/* Aligned for a region, which is put there once to be refused. */
static foveola_step tree[STEPS] __attribute__((aligned(8)));

/* ---- The classifier: each class likes one box, and a texture -------------- */

static const int boxes[CLASSES][4] = { { 2, 2, 8, 9 }, { 10, 8, 20, 16 }, { 4, 12, 12, 19 } };

static int weight(int i, int k)
{
    const int y = i / (W * C), x = i / C % W, *box = boxes[k];
    const int inside = y >= box[0] && x >= box[1] && y < box[2] && x < box[3];
    return (inside ? 6 : -1) + (i * 7 + k * 3) % 5 - 2;
}

static float probability(float logit)
{
    const float size = logit < 0.0f ? -logit : logit;
    return 0.5f + 0.5f * (logit / (1.0f + size));
}

static void finish(uint32_t score, float logit, float *out)
{
    *out = score == FOVEOLA_PROBABILITY ? probability(logit) : logit;
}

static int32_t integers(void *user, uint32_t score, float *out)
{
    const int offset = *(const int *)user;
    for (int k = 0; k < CLASSES; k++) {
        int32_t sum = 0;
        for (int i = 0; i < LENGTH; i++) {
            const int q = offset ? input.u8[i] - offset : input.i8[i];
            sum += q * weight(i, k);
        }
        finish(score, (float)sum / 65536.0f, &out[k]);
    }
    return 0;
}

static int32_t reals(void *user, uint32_t score, float *out)
{
    (void)user;
    for (int k = 0; k < CLASSES; k++) {
        float sum = 0.25f;
        for (int i = 0; i < LENGTH; i++) sum += input.f32[i] * (float)weight(i, k);
        finish(score, sum / 64.0f, &out[k]);
        input.f32[k] = 1e30f; /* an engine may use its input's memory */
    }
    return 0;
}

static int32_t fails(void *user, uint32_t score, float *out)
{
    (void)user, (void)score, (void)out;
    return -7;
}

static int32_t forgets(void *user, uint32_t score, float *out)
{
    (void)user, (void)score;
    out[0] = 0.5f;
    return 0;
}

static int32_t stops(void *user, uint64_t done, uint64_t total)
{
    (void)total;
    return done < *(const uint64_t *)user;
}

/* ---- Printing ------------------------------------------------------------- */

static void hexadecimal(uint32_t word)
{
    char text[10];
    for (int i = 0; i < 8; i++) text[i] = "0123456789abcdef"[word >> (28 - 4 * i) & 15];
    text[8] = ' ';
    text[9] = 0;
    put(text);
}

static void number(float value)
{
    union { float f; uint32_t u; } bits;
    bits.f = value;
    hexadecimal(bits.u);
}

static void text(const char *from, uint32_t length)
{
    char line[128];
    uint32_t i = 0;
    for (; i < length && i < sizeof line - 1; i++) line[i] = from[i];
    line[i] = 0;
    put(line);
}

static void code(const char *name, int32_t found, const foveola_failure *failure)
{
    put(name);
    put(" ");
    hexadecimal((uint32_t)found);
    hexadecimal((uint32_t)failure->engine);
    for (int i = 0; i < 3; i++) hexadecimal(failure->numbers[i]);
    put("|");
    text(failure->text, failure->text_length);
    put("\n");
}

/* Name, outcomes, and the bits of all maps. */
static void answer_of(const char *name, int32_t found, const foveola_answer *answer, size_t targets,
                      size_t elements)
{
    if (found != FOVEOLA_OK) {
        code(name, found, &answer->failure);
        return;
    }
    put(name);
    put(" ");
    for (size_t i = 0; i < targets; i++) {
        hexadecimal(answer->outcomes[i].kind);
        hexadecimal((uint32_t)answer->outcomes[i].done);
        hexadecimal((uint32_t)answer->outcomes[i].total);
        text(answer->outcomes[i].reason, answer->outcomes[i].reason_length);
        put("|");
    }
    for (size_t i = 0; i < targets * elements; i++) number(answer->maps[i]);
    put("\n");
}

/* ---- Questions ------------------------------------------------------------ */

static const size_t targets[2] = { 1, 0 };
static const int no_offset = 0, offset = 121;

static foveola_engine engine_of(uint32_t element)
{
    foveola_engine engine = { H, W, C, CLASSES, element, 1.0f / 64.0f, -3, &input, integers, (void *)&no_offset };
    if (element == FOVEOLA_U8) {
        engine.zero_point = offset;
        engine.user = (void *)&offset;
    }
    if (element == FOVEOLA_F32) engine.scores = reals;
    return engine;
}

static foveola_question question_of(uint32_t element)
{
    foveola_question question = { 0 };
    question.seed = 0x123456789abcdef0u;
    question.picture = element == FOVEOLA_U8 ? (const void *)picture : (const void *)tensor;
    question.picture_element = element;
    for (int c = 0; c < C; c++) {
        question.mean[c] = 100.0f + 10.0f * (float)c;
        question.scale[c] = 0.0125f;
        question.fill[c] = -0.25f * (float)c;
    }
    question.targets = targets;
    question.target_count = 2;
    question.score = FOVEOLA_PROBABILITY;
    return question;
}

static foveola_answer answer_in(size_t map_elements, size_t bytes)
{
    foveola_answer answer = { maps, map_elements, outcomes, 2, scratch, bytes, { 0 } };
    return answer;
}

enum { AREA = H * W };
#define RISE_BYTES FOVEOLA_RISE_SCRATCH(H, W, C, CLASSES, 2, 0)
#define COVERAGE_BYTES FOVEOLA_RISE_SCRATCH(H, W, C, CLASSES, 2, 1)
#define OCCLUSION_BYTES FOVEOLA_OCCLUSION_SCRATCH(W, C, CLASSES, 2)
#define HOC_BYTES FOVEOLA_HOC_SCRATCH(W, C, CLASSES, STEPS)

static void occlusion(const char *name, uint32_t engine_element, const foveola_question *question, uint32_t channels)
{
    foveola_occlusion_parameters parameters = FOVEOLA_OCCLUSION_DEFAULT;
    if (channels) {
        const uint32_t window[3] = { channels, 5, 4 }, stride[3] = { 0, 3, 3 };
        for (int i = 0; i < 3; i++) parameters.window[i] = window[i], parameters.stride[i] = stride[i];
    }
    const size_t elements = channels && channels < C ? LENGTH : AREA;
    const foveola_engine engine = engine_of(engine_element);
    foveola_answer answer = answer_in(2 * elements, OCCLUSION_BYTES);
    answer_of(name, foveola_occlusion(&engine, question, &parameters, &answer), &answer, 2, elements);
}

static void rise(const char *name, uint32_t engine_element, const foveola_question *question, uint32_t by_coverage)
{
    foveola_rise_parameters parameters = FOVEOLA_RISE_DEFAULT;
    parameters.masks = 60;
    parameters.grid = 5;
    parameters.by_coverage = by_coverage;
    const foveola_engine engine = engine_of(engine_element);
    foveola_answer answer = answer_in(2 * AREA, by_coverage ? COVERAGE_BYTES : RISE_BYTES);
    answer_of(name, foveola_rise(&engine, question, &parameters, &answer), &answer, 2, AREA);
}

static foveola_hoc_parameters hoc_parameters(uint32_t mode, float threshold)
{
    foveola_hoc_parameters parameters = FOVEOLA_HOC_DEFAULT;
    parameters.mode = mode;
    parameters.threshold = threshold;
    parameters.layers = 2;
    parameters.windows[0] = 10;
    parameters.windows[1] = 4;
    parameters.strides[0] = 5;
    parameters.strides[1] = 2;
    parameters.tree = tree;
    parameters.tree_steps = STEPS;
    return parameters;
}

static void hoc(const char *name, uint32_t mode, float threshold)
{
    foveola_question question = question_of(FOVEOLA_U8);
    question.target_count = 1;
    const foveola_hoc_parameters parameters = hoc_parameters(mode, threshold);
    const foveola_engine engine = engine_of(FOVEOLA_I8);
    foveola_answer answer = answer_in(AREA, HOC_BYTES);
    foveola_region region;
    const int32_t found = foveola_hoc(&engine, &question, &parameters, &answer, &region);
    answer_of(name, found, &answer, 1, AREA);
    put(name);
    put(".tree ");
    hexadecimal((uint32_t)region.passes);
    hexadecimal(region.steps);
    hexadecimal(region.layers);
    hexadecimal(region.complete);
    for (uint32_t i = 0; i < region.layers; i++) number(region.scores[i]);
    for (uint32_t i = 0; i < region.steps; i++) {
        const foveola_step *step = &tree[i];
        const uint32_t words[6] = { step->layer, step->y, step->x, step->height, step->width, (uint32_t)step->parent };
        for (int j = 0; j < 6; j++) hexadecimal(words[j]);
        number(step->score);
        number(step->change);
    }
    put("\n");
}

/* ---- What must be refused -------------------------------------------------- */

typedef struct {
    foveola_engine engine;
    foveola_question question;
    foveola_rise_parameters rise;
    foveola_answer answer;
} call;

static call fine(void)
{
    call it = { engine_of(FOVEOLA_I8), question_of(FOVEOLA_U8), FOVEOLA_RISE_DEFAULT,
                { maps, 2 * AREA, outcomes, 2, scratch, RISE_BYTES, { 0 } } };
    it.rise.masks = 2;
    return it;
}

#define REFUSED(name, change)                                                          \
    do {                                                                               \
        call it = fine();                                                              \
        change;                                                                        \
        const int32_t found = foveola_rise(&it.engine, &it.question, &it.rise, &it.answer); \
        code(name, found, &it.answer.failure);                                         \
    } while (0)

static void refusals(void)
{
    static const size_t beyond[2] = { 0, CLASSES };
    const float zero = 0.0f;
    REFUSED("fine", (void)0);
    REFUSED("no_height", it.engine.height = 0);
    REFUSED("huge", it.engine.height = it.engine.width = it.engine.channels = 0xFFFFFFFFu);
    REFUSED("wrapping", it.engine.height = it.engine.width = 0x10000u);
    REFUSED("classes", it.engine.classes = 0);
    REFUSED("engine_element", it.engine.element = 3);
    REFUSED("engine_scale", it.engine.scale = 0.0f);
    REFUSED("zero_point", it.engine.zero_point = 128);
    REFUSED("no_input", it.engine.input = NULL);
    REFUSED("no_scores", it.engine.scores = NULL);
    REFUSED("no_picture", it.question.picture = NULL);
    REFUSED("element", it.question.picture_element = FOVEOLA_I8);
    REFUSED("forgotten_scale", it.question.scale[1] = 0.0f);
    REFUSED("nan_scale", it.question.scale[1] = zero / zero);
    REFUSED("nan_fill", it.question.fill[0] = zero / zero);
    REFUSED("no_targets", it.question.target_count = 0);
    REFUSED("many_targets", it.question.target_count = FOVEOLA_MAX_TARGETS + 1);
    REFUSED("target", it.question.targets = beyond);
    REFUSED("score", it.question.score = 2);
    REFUSED("masks", it.rise.masks = 0);
    REFUSED("grid", it.rise.grid = 65);
    REFUSED("wide_grid", it.rise.grid = 0x10001u);
    REFUSED("keep", it.rise.keep = zero / zero);
    REFUSED("flag", it.rise.by_coverage = 2);
    REFUSED("map", it.answer.map_elements--);
    REFUSED("outcomes", it.answer.outcome_count--);
    REFUSED("scratch", it.answer.scratch_bytes--);
    REFUSED("little_scratch", it.answer.scratch_bytes = 8);
    REFUSED("no_map", it.answer.maps = NULL);
    REFUSED("odd_map", it.answer.maps = (float *)((char *)maps + 2));
    REFUSED("endless_map", it.answer.map_elements = 0x7FFFFFFFu);
    REFUSED("overlap", it.answer.scratch = maps + AREA);
    REFUSED("own_input", it.question.picture = &input);
    REFUSED("engine_fails", it.engine.scores = fails);
    REFUSED("engine_forgets", it.engine.scores = forgets);

    call it = fine();
    code("no_engine", foveola_rise(NULL, &it.question, &it.rise, &it.answer), &it.answer.failure);
    code("no_question", foveola_rise(&it.engine, NULL, &it.rise, &it.answer), &it.answer.failure);
    code("no_parameters", foveola_rise(&it.engine, &it.question, NULL, &it.answer), &it.answer.failure);
    const foveola_failure none = { 0 };
    code("no_answer", foveola_rise(&it.engine, &it.question, &it.rise, NULL), &none);

    it.answer.scratch_bytes = OCCLUSION_BYTES - 4;
    foveola_occlusion_parameters occluded = FOVEOLA_OCCLUSION_DEFAULT;
    code("occlusion_scratch", foveola_occlusion(&it.engine, &it.question, &occluded, &it.answer), &it.answer.failure);
    it.answer.scratch_bytes = OCCLUSION_BYTES;
    occluded.window[1] = H + 1;
    code("window", foveola_occlusion(&it.engine, &it.question, &occluded, &it.answer), &it.answer.failure);

    foveola_region region;
    foveola_hoc_parameters searched = hoc_parameters(FOVEOLA_REVEAL, 0.6f);
    it.answer.scratch_bytes = HOC_BYTES;
    code("hoc_targets", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    it.question.target_count = 1;
    code("hoc_fine", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    code("no_region", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, NULL), &it.answer.failure);
    it.answer.scratch_bytes = HOC_BYTES - 4;
    code("hoc_scratch", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched.tree_steps = 1;
    it.answer.scratch_bytes = HOC_BYTES;
    code("small_tree", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched = hoc_parameters(FOVEOLA_REVEAL, 0.6f);
    searched.layers = FOVEOLA_MAX_LAYERS + 1;
    code("layers", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched.layers = 2;
    searched.windows[0] = 4;
    code("windows", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched = hoc_parameters(2, 0.6f);
    code("mode", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched = hoc_parameters(FOVEOLA_REVEAL, 0.6f);
    searched.tree = (foveola_step *)(void *)scratch;
    code("tree_overlap", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched.tree = (foveola_step *)(void *)((char *)tree + 1);
    code("odd_tree", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, &region), &it.answer.failure);
    searched.tree = tree;
    foveola_region *in_tree = (foveola_region *)(void *)tree;
    code("region_overlap", foveola_hoc(&it.engine, &it.question, &searched, &it.answer, in_tree), &it.answer.failure);
}

int main(void)
{
    if (foveola_abi() != FOVEOLA_ABI) return 1;
    for (int i = 0; i < LENGTH; i++) {
        const int y = i / (W * C), x = i / C % W;
        const int bright = y >= 9 && y < 21 && x >= 7 && x < 17;
        picture[i] = (uint8_t)((bright ? 180 : 60) + i * 37 % 59);
        tensor[i] = (float)(picture[i] - 110) / 80.0f;
        other[i] = (float)(i * 11 % 23 - 11) / 16.0f;
    }
    const foveola_question pixels = question_of(FOVEOLA_U8);
    occlusion("occlusion_i8", FOVEOLA_I8, &pixels, 0);
    occlusion("occlusion_u8", FOVEOLA_U8, &pixels, C);
    occlusion("occlusion_f32", FOVEOLA_F32, &pixels, 1);
    rise("rise_i8", FOVEOLA_I8, &pixels, 0);
    rise("rise_u8", FOVEOLA_U8, &pixels, 1);
    hoc("reveal", FOVEOLA_REVEAL, 0.6f);
    hoc("cover", FOVEOLA_COVER, 0.4f);
    hoc("unreached", FOVEOLA_REVEAL, 0.999f);

    foveola_question reals_in = question_of(FOVEOLA_F32);
    reals_in.fill_picture = other;
    reals_in.score = FOVEOLA_LOGIT;
    occlusion("tensor_occlusion", FOVEOLA_F32, &reals_in, 0);
    rise("tensor_rise", FOVEOLA_F32, &reals_in, 0);

    uint64_t most = 17;
    foveola_question stopped = pixels;
    stopped.progress = stops;
    stopped.user = &most;
    rise("stopped_rise", FOVEOLA_I8, &stopped, 0);
    occlusion("stopped_occlusion", FOVEOLA_I8, &stopped, 0);

    refusals();
    put("end\n");
    return 0;
}
