/* Deterministic random inputs; see mutate.c. */
#ifndef LABOS_FUZZ_MUTATE_H
#define LABOS_FUZZ_MUTATE_H

#define FUZZ_MAX 20000

typedef struct Input
{
	int			len;
	char		data[FUZZ_MAX];
} Input;

extern void fuzz_seed(uint64 seed, uint64 number);
extern uint64 fuzz_random(void);
extern int	fuzz_below(int n);
extern void fuzz_mutate(Input *in);
extern void fuzz_set(Input *in, const char *bytes, int len);

#endif
