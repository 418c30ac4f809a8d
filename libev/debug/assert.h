/* <assert.h> for a build with libev's asserts (MOOD_EVENT_DEBUG=1): an assert that
 * fails aborts, unless it says that a descriptor is bad.
 *
 * A program can close what it watches at any time. That is no fault of libev's: it
 * goes on with an EV_ERROR, of which Loop.start makes an exception, in this build as
 * in the others. build_ffi.py has the compiler find this file first. No include guard,
 * as the standard has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MOOD_ASSERT
#define MOOD_ASSERT

static inline int mood_is_bad_descriptor(const char *condition)
{
    return strstr(condition, "invalid fd") || strstr(condition, "bad fd");
}

static inline void mood_assert(const char *condition, const char *file, int line)
{
    if (!mood_is_bad_descriptor(condition)) {
        fprintf(stderr, "%s:%d: Assertion `%s' failed.\n", file, line, condition);
        abort();
    }
}
#endif

#undef assert
#ifdef NDEBUG
#define assert(condition) ((void)0)
#else
#define assert(condition)                                                      \
    ((condition) ? (void)0 : mood_assert(#condition, __FILE__, __LINE__))
#endif

#undef static_assert
#define static_assert _Static_assert
