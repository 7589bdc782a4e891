/* zoo.h: run a zoo bundle (name.zoo/) inside a C or C++ program.
 *
 * Conventions
 *   - Every name begins with zoo_ or ZOO_. The header is C99; the library needs no C++ in the program that uses it.
 *   - Every function that can fail returns a zoo_status: ZOO_OK (0), or what went wrong. Its last argument is a
 *     zoo_error that the caller owns, or NULL; it receives one line that says what is wrong. A wrong argument, a damaged
 *     file or a hostile picture is a status and never a crash.
 *   - Every struct begins with struct_size: set it to sizeof the struct as you compiled it (ZOO_INIT does). A program
 *     that was compiled against an older header of the same major version, whose structs are smaller, keeps working;
 *     one compiled against a newer header gets ZOO_E_VERSION from an older library instead of an incomplete result.
 *   - Enumerations are int32_t, so that their size is the same for every compiler and any value may arrive safely.
 *   - Sizes in bytes and counts of bytes are size_t, counts of things uint32_t, extents of tensors int64_t.
 *   - Text is UTF-8 and ends in NUL. The library never prints and never exits.
 *
 * Thread classes, named in capitals at each function
 *   ANY   may be called by any number of threads at once.
 *   EXCL  one thread at a time for one handle. A second one gets ZOO_E_BUSY; nothing is harmed.
 *
 * Ownership
 *   What zoo_*_create and zoo_*_open return is freed with the matching zoo_*_free; NULL may be freed. Buffers that are
 *   passed in are borrowed until the call returns. How long returned pointers live stands at each function.
 *
 * A whole program (cc example.c -lzoo):
 *
 *   #include <stdio.h>
 *   #include <zoo/zoo.h>
 *
 *   int main(void) {
 *     zoo_error error = ZOO_INIT(zoo_error);
 *     zoo_model *model = NULL;
 *     zoo_context *context = NULL;
 *     zoo_prediction prediction = ZOO_INIT(zoo_prediction);
 *     if (zoo_model_open("flowers.zoo", NULL, &model, &error) == ZOO_OK &&
 *         zoo_context_create(model, &context, &error) == ZOO_OK &&
 *         zoo_predict_file(context, "tulip.jpg", &prediction, &error) == ZOO_OK)
 *       printf("%s %.3f\n", prediction.label, prediction.score);
 *     else
 *       fprintf(stderr, "%s\n", error.text);
 *     zoo_context_free(context);
 *     zoo_model_free(model);
 *     return 0;
 *   }
 */
#ifndef ZOO_ZOO_H
#define ZOO_ZOO_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define ZOO_API __attribute__((visibility("default")))
#else
#define ZOO_API
#endif

/* ---------------------------------------------------------------------------------------------------------------------
 * Versions
 */

/* The version of this header: major << 16 | minor. A library serves a program if
 *
 *   (zoo_abi_version() >> 16) == (ZOO_ABI_VERSION >> 16) && zoo_abi_version() >= ZOO_ABI_VERSION
 *
 * The minor grows when functions or trailing struct members are added, the major when anything else changes. */
#define ZOO_ABI_VERSION 0x00010000u

/* The library's own ZOO_ABI_VERSION. ANY. */
ZOO_API uint32_t zoo_abi_version(void);

/* The library's release, such as "0.1.0". Lives as long as the library. ANY. */
ZOO_API const char *zoo_version(void);

/* ---------------------------------------------------------------------------------------------------------------------
 * Status and errors
 */

typedef int32_t zoo_status;
enum {
  ZOO_OK = 0,
  ZOO_E_ARGUMENT = 1,  /* NULL, an unknown value, a size that is too small: a mistake in the calling program */
  ZOO_E_NOT_FOUND = 2, /* no such bundle, file, graph or backend */
  ZOO_E_CORRUPT = 3,   /* a file of the bundle, or a picture, is not what it should be */
  ZOO_E_HASH = 4,      /* a file's size or SHA-256 is not the one in the manifest */
  ZOO_E_VERSION = 5,   /* the program, a bundle or a backend is newer than this library */
  ZOO_E_BACKEND = 6,   /* a backend or its runtime library failed */
  ZOO_E_DEVICE = 7,    /* the device that was asked for is not what would run */
  ZOO_E_SHAPE = 8,     /* a tensor's shape, stride, type or size does not fit */
  ZOO_E_SELFTEST = 9,  /* the self-test ran, and its logits differ from the stored ones by more than is accepted */
  ZOO_E_MEMORY = 10,
  ZOO_E_BUSY = 11,     /* the handle is in use by another thread */
  ZOO_E_FORMAT = 12,   /* a picture in a format that this library does not read */
  ZOO_E_INTERNAL = 13
};

/* "ZOO_E_HASH" and so on; "unknown status" for a number that is none. Lives as long as the library. ANY. */
ZOO_API const char *zoo_status_name(zoo_status status);

/* Owned by the caller; one may be used for many calls. `text` is empty after a call that succeeded. A program may
 * declare a larger or smaller text and set struct_size to fit. */
typedef struct zoo_error {
  size_t struct_size;
  char text[512];
} zoo_error;

/* zoo_error error = ZOO_INIT(zoo_error); every member 0 but struct_size. */
#ifdef __cplusplus
#define ZOO_INIT(type) ([] { type value{}; value.struct_size = sizeof(type); return value; }())
#else
#define ZOO_INIT(type) {.struct_size = sizeof(type)}
#endif

/* ---------------------------------------------------------------------------------------------------------------------
 * Backends: plug-ins libzoo_backend_<name>.so, looked for in zoo_options.backend_path, in the folders that the variable
 * ZOO_BACKEND_PATH lists (with ':' between them), and beside this library; the first file of a name counts.
 */

typedef struct zoo_options {
  size_t struct_size;
  const char *backend;         /* "onnxruntime", "openvino", ...; NULL: the one with the highest score */
  const char *precision;       /* one of the bundle's graphs; NULL: "fp32" */
  const char *device;          /* "cpu" or "cuda"; NULL: "cpu". Another device than this never runs. */
  int32_t threads;             /* of the backend, for one call; 0: every core this process may use */
  uint32_t verify;             /* ZOO_VERIFY_USED or ZOO_VERIFY_ALL */
  const char *backend_path;    /* folders to look for plug-ins in first, with ':' between them; or NULL */
  const char *runtime_library; /* file of the backend's runtime, such as libonnxruntime.so.1; NULL: the backend looks */
} zoo_options;

#define ZOO_VERIFY_USED 0u /* check size and hash of each file before it is used */
#define ZOO_VERIFY_ALL 1u  /* check every file of the bundle when it is opened */

/* What one plug-in says about these options. All text lives until the visitor returns. */
typedef struct zoo_backend_info {
  size_t struct_size;
  const char *name;
  const char *file;   /* the plug-in */
  int32_t score;      /* 0: it cannot run here; otherwise the higher the better */
  const char *reason; /* why it cannot, empty if it can */
} zoo_backend_info;

typedef void (*zoo_backend_visitor)(void *user, const zoo_backend_info *info);

/* Call `visit` for every plug-in that is found, best first, on this thread. `options` may be NULL. ANY. */
ZOO_API zoo_status zoo_backends_visit(const zoo_options *options, zoo_backend_visitor visit, void *user,
                                      zoo_error *error);

/* ---------------------------------------------------------------------------------------------------------------------
 * Models: a bundle's graph, loaded. Immutable; share one between all threads.
 */

typedef struct zoo_model zoo_model;

typedef int32_t zoo_task;
enum { ZOO_CLASSIFICATION = 1, ZOO_TAGGING = 2, ZOO_KEYPOINTS = 3 };

/* Read the bundle (a folder), check what `options->verify` says, and load one graph. `options` may be NULL. On success
 * *model is the caller's to free. With ZOO_E_BACKEND the error's line says why each backend was rejected. ANY. */
ZOO_API zoo_status zoo_model_open(const char *bundle, const zoo_options *options, zoo_model **model, zoo_error *error);

/* Contexts that were created keep what they need: they may be used and freed after their model. ANY. */
ZOO_API void zoo_model_free(zoo_model *model);

/* All text lives as long as the model. */
typedef struct zoo_model_info {
  size_t struct_size;
  const char *name;
  zoo_task task;
  uint32_t height, width;     /* of the network's picture, in pixels */
  uint32_t resize;            /* the short side is resized to this before the centre is cropped */
  uint32_t outputs;           /* logits of one image; for keypoints, coordinates */
  uint32_t labels;            /* names of classes, tags or points */
  const char *backend;        /* what really runs */
  const char *precision;
  const char *device;
  int32_t threads;
  const char *runtime;        /* name and version of the backend's runtime */
} zoo_model_info;

/* ANY. */
ZOO_API zoo_status zoo_model_describe(const zoo_model *model, zoo_model_info *info, zoo_error *error);

/* The name of a class, tag or point; NULL if there are not so many. Lives as long as the model. ANY. */
ZOO_API const char *zoo_model_label(const zoo_model *model, uint32_t index);

typedef struct zoo_selftest {
  size_t struct_size;
  uint32_t files;    /* how many had the size and hash that the manifest says */
  uint32_t images;   /* how many stored images were run */
  float difference;  /* the largest difference of a logit from the stored one */
  float tolerance;   /* the largest difference that is accepted */
} zoo_selftest;

/* Check every file of the bundle, run its stored images and compare the logits with the stored ones. ZOO_E_HASH names
 * the file; ZOO_E_SELFTEST says by how much the logits differ. `report` may be NULL. ANY. */
ZOO_API zoo_status zoo_model_selftest(const zoo_model *model, zoo_selftest *report, zoo_error *error);

/* ---------------------------------------------------------------------------------------------------------------------
 * Contexts: what one thread needs to run a model.
 */

typedef struct zoo_context zoo_context;

/* ANY: a model may have any number of contexts. */
ZOO_API zoo_status zoo_context_create(const zoo_model *model, zoo_context **context, zoo_error *error);

ZOO_API void zoo_context_free(zoo_context *context);

typedef int32_t zoo_dtype;
enum { ZOO_UINT8 = 1, ZOO_FLOAT32 = 2 };

#define ZOO_MAX_RANK 8

/* A non-owning view of memory. */
typedef struct zoo_tensor {
  size_t struct_size;
  void *data;
  size_t size; /* bytes at `data` */
  zoo_dtype dtype;
  uint32_t rank;
  int64_t shape[ZOO_MAX_RANK];
  int64_t stride[ZOO_MAX_RANK]; /* in bytes; all 0: rows follow each other without gaps, the only layout there is */
} zoo_tensor;

/* Run the network: `in` uint8 [N, height, width, 3] RGB, `out` float32 [N, outputs], any N from 1 on. Both are borrowed.
 * After the first call with the same buffers this allocates no memory of its own. EXCL. */
ZOO_API zoo_status zoo_run(zoo_context *context, const zoo_tensor *in, zoo_tensor *out, zoo_error *error);

/* ---------------------------------------------------------------------------------------------------------------------
 * Pictures
 */

typedef int32_t zoo_encoding;
enum {
  ZOO_ENCODED = 0, /* JPEG or PNG, told by its first bytes */
  ZOO_JPEG = 1,
  ZOO_PNG = 2,
  ZOO_RGB = 3 /* uint8 pixels, three to a pixel, rows from top to bottom */
};

typedef struct zoo_picture {
  size_t struct_size;
  const void *data;
  size_t size; /* bytes at `data` */
  zoo_encoding encoding;
  uint32_t width, height; /* of ZOO_RGB, in pixels; otherwise 0 */
  int64_t stride;         /* of ZOO_RGB: bytes from a row to the next, at least 3 * width; 0: exactly that */
} zoo_picture;

/* How a picture of any size is fitted to the network: the short side is resized to `resize` pixels, then the centre
 * `height` x `width` is cropped. */
typedef struct zoo_framing {
  size_t struct_size;
  uint32_t resize, height, width;
} zoo_framing;

/* The size of a picture as it was given, upright, in pixels. */
typedef struct zoo_extent {
  size_t struct_size;
  uint32_t width, height;
} zoo_extent;

/* Decode, turn upright, resize and crop, as zoo_predict does before it runs the network. Writes uint8
 * [height, width, 3] or [1, height, width, 3] into `out`. `extent` may be NULL. EXCL. */
ZOO_API zoo_status zoo_preprocess(zoo_context *context, const zoo_picture *picture, zoo_tensor *out, zoo_extent *extent,
                                  zoo_error *error);

/* The same without a model. A zoo_framer keeps its memory from call to call. */
typedef struct zoo_framer zoo_framer;

ZOO_API zoo_status zoo_framer_create(zoo_framer **framer, zoo_error *error); /* ANY */
ZOO_API void zoo_framer_free(zoo_framer *framer);

/* EXCL. */
ZOO_API zoo_status zoo_framer_read(zoo_framer *framer, const zoo_framing *framing, const zoo_picture *picture,
                                   zoo_tensor *out, zoo_extent *extent, zoo_error *error);

/* ---------------------------------------------------------------------------------------------------------------------
 * Predictions. Arrays live until the next call on the same context; labels as long as the model.
 */

typedef struct zoo_prediction {
  size_t struct_size;
  zoo_task task;
  uint32_t count;      /* of labels */
  const float *scores; /* [count], 0 to 1, in label order; those of classes sum to 1. NULL for keypoints */
  const float *points; /* [count][2], x and y in pixels of the upright picture, 0, 0 the centre of its first; or NULL */
  uint32_t best;       /* index of the highest score */
  float score;
  const char *label;   /* of the highest score; NULL for keypoints */
  uint32_t picture_width, picture_height; /* upright, in pixels */
} zoo_prediction;

/* From one picture to its prediction. EXCL, as are the four below, which only fill in a zoo_picture. */
ZOO_API zoo_status zoo_predict(zoo_context *context, const zoo_picture *picture, zoo_prediction *prediction,
                               zoo_error *error);
ZOO_API zoo_status zoo_predict_file(zoo_context *context, const char *path, zoo_prediction *prediction,
                                    zoo_error *error);
ZOO_API zoo_status zoo_predict_jpeg(zoo_context *context, const void *bytes, size_t size, zoo_prediction *prediction,
                                    zoo_error *error);
ZOO_API zoo_status zoo_predict_png(zoo_context *context, const void *bytes, size_t size, zoo_prediction *prediction,
                                   zoo_error *error);
ZOO_API zoo_status zoo_predict_rgb(zoo_context *context, const uint8_t *pixels, uint32_t width, uint32_t height,
                                   int64_t stride, zoo_prediction *prediction, zoo_error *error);

/* Write the indices of the `count` highest scores, best first, to `indices`; returns how many there were. 0 for
 * keypoints and for NULL. ANY. */
ZOO_API uint32_t zoo_prediction_top(const zoo_prediction *prediction, uint32_t *indices, uint32_t count);

#ifdef __cplusplus
}
#endif

#endif /* ZOO_ZOO_H */
