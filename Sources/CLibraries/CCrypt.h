#pragma once
#include <crypt.h>
#include <stdlib.h>

// `struct crypt_data` has 32 KiB, too much for the stack of a small thread.

/// The hash of `phrase` made as `setting` says, in memory that the caller frees; NULL where that cannot be.
static inline char *outrigger_crypt(const char *phrase, const char *setting) {
    struct crypt_data *space = calloc(1, sizeof *space);
    if (!space) return NULL;
    char *made = crypt_rn(phrase, setting, space, (int)sizeof *space);
    char *copy = made ? strdup(made) : NULL;
    free(space);
    return copy;
}
