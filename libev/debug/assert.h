/* <assert.h> for a build with libev's asserts (MOOD_EVENT_DEBUG=1): an assert that
 * fails aborts, unless it is about what a program can do at any time.
 *
 * It can close what it watches: libev goes on with an EV_ERROR, of which Loop.start
 * makes an exception, in this build as in the others. And it can stop watchers that
 * it has called Loop.unref for, before it calls Loop.ref, which the shim puts right
 * before it matters. build_ffi.py has the compiler find this file first. No include
 * guard, as the standard has it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef MOOD_ASSERT
#define MOOD_ASSERT

static inline int mood_is_allowed(const char *condition)
{
    return strstr(condition, "invalid fd") || strstr(condition, "bad fd") ||
           strstr(condition, "activecnt >= -1");
}

static inline void mood_assert(const char *condition, const char *file, int line)
{
    if (!mood_is_allowed(condition)) {
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
