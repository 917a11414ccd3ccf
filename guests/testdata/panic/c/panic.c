// Fails at what it asserts, and where memory ends.
#include <assert.h>

#include "lockstep.h"

LS_EXPORT(apply) uint32_t apply(void) {
    size_t size = ls_input().size;
    if (size == 2) {
        static ls_writer w;
        for (;;) ls_put(&w, "................", 16);
    }
    assert(size == 0);
    return 0;
}
