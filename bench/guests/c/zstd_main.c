/* A command over the zstd library: compresses or decompresses a file to standard output, in a stream.
 * Usage: zstd c LEVEL FILE, or zstd d FILE. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "zstd.h"

static int fail(const char *what) {
    fprintf(stderr, "zstd: %s\n", what);
    return 1;
}

static int put(const void *bytes, size_t length) { return fwrite(bytes, 1, length, stdout) == length; }

static int compress(FILE *file, int level) {
    size_t in_size = ZSTD_CStreamInSize(), out_size = ZSTD_CStreamOutSize();
    char *in = malloc(in_size), *out = malloc(out_size);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    if (!in || !out || !context) return fail("out of memory");
    size_t status = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level);
    if (ZSTD_isError(status)) return fail(ZSTD_getErrorName(status));
    status = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    if (ZSTD_isError(status)) return fail(ZSTD_getErrorName(status));
    for (;;) {
        size_t got = fread(in, 1, in_size, file);
        int last = got < in_size;
        ZSTD_inBuffer input = {in, got, 0};
        size_t left;
        do {
            ZSTD_outBuffer output = {out, out_size, 0};
            left = ZSTD_compressStream2(context, &output, &input, last ? ZSTD_e_end : ZSTD_e_continue);
            if (ZSTD_isError(left)) return fail(ZSTD_getErrorName(left));
            if (!put(out, output.pos)) return fail("cannot write");
        } while (last ? left != 0 : input.pos < input.size);
        if (last) break;
    }
    ZSTD_freeCCtx(context);
    return 0;
}

static int decompress(FILE *file) {
    size_t in_size = ZSTD_DStreamInSize(), out_size = ZSTD_DStreamOutSize(), status = 1, got;
    char *in = malloc(in_size), *out = malloc(out_size);
    ZSTD_DCtx *context = ZSTD_createDCtx();
    if (!in || !out || !context) return fail("out of memory");
    while ((got = fread(in, 1, in_size, file)) > 0) {
        ZSTD_inBuffer input = {in, got, 0};
        while (input.pos < input.size) {
            ZSTD_outBuffer output = {out, out_size, 0};
            status = ZSTD_decompressStream(context, &output, &input);
            if (ZSTD_isError(status)) return fail(ZSTD_getErrorName(status));
            if (!put(out, output.pos)) return fail("cannot write");
        }
    }
    ZSTD_freeDCtx(context);
    return status == 0 ? 0 : fail("the input ends too early");
}

int main(int argc, char **argv) {
    int compressing = argc == 4 && !strcmp(argv[1], "c"), decompressing = argc == 3 && !strcmp(argv[1], "d");
    if (!compressing && !decompressing) return fail("usage: zstd c LEVEL FILE | zstd d FILE");
    FILE *file = fopen(argv[argc - 1], "rb");
    if (!file) return fail("cannot open the file");
    int code = compressing ? compress(file, atoi(argv[2])) : decompress(file);
    fclose(file);
    return fflush(stdout) == 0 ? code : fail("cannot write");
}
