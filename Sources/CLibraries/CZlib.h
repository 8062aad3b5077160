#pragma once
#include <zlib.h>

// deflateInit2 is a macro. 16 added to the window bits asks for a gzip wrapper.
static inline int outrigger_gzip_init(z_stream *stream, int level) {
    return deflateInit2(stream, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
