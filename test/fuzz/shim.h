/* What shim.c offers to the harness beside the backend's own functions. */
#ifndef LABOS_FUZZ_SHIM_H
#define LABOS_FUZZ_SHIM_H

#include <setjmp.h>

extern sigjmp_buf shim_catch;
extern char shim_error[1024];
extern void shim_reset(void);
extern void shim_keep(void);

#endif
