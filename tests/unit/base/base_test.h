/* base_test.h - includes every cmocka test of the base room needs. */
#ifndef BRAID_TESTS_BASE_TEST_H
#define BRAID_TESTS_BASE_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/str.h"

#endif
