/*-------------------------------------------------------------------------
 *
 * shim.c
 *		The part of a backend that the parsers need, for a program without one.
 *
 * Every palloc is a malloc of its own, so that AddressSanitizer sees one byte
 * too many; shim_reset() frees all of them, as the end of a statement does.
 * An ereport(ERROR) jumps to shim_catch, as it would to the main loop.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <setjmp.h>
#include <stdarg.h>

#include "common/unicode_norm.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "utils/json.h"
#include "utils/memutils.h"
#include "utils/palloc.h"

#include "shim.h"

typedef struct Chunk
{
	struct Chunk *next;
	struct Chunk **link;
	Size		size;
	MemoryContext context;
} Chunk;

typedef struct Context
{
	MemoryContextData head;		/* only its address and callbacks are used */
	struct Context *next;
} Context;

static Chunk *chunks = NULL;
static Context *contexts = NULL;
static MemoryContextData top;

MemoryContext CurrentMemoryContext = &top;
MemoryContext TopMemoryContext = &top;
volatile sig_atomic_t InterruptPending = false;
volatile sig_atomic_t QueryCancelPending = false;
volatile sig_atomic_t ProcDiePending = false;
volatile uint32 InterruptHoldoffCount = 0;
volatile uint32 CritSectionCount = 0;
sigjmp_buf	shim_catch;
char		shim_error[1024];

static void *
allocate(MemoryContext context, Size size)
{
	Chunk	   *chunk = malloc(sizeof(Chunk) + size);

	if (chunk == NULL)
		abort();
	if (!AllocSizeIsValid(size))
		abort();
	chunk->size = size;
	chunk->context = context;
	chunk->next = chunks;
	chunk->link = &chunks;
	if (chunks != NULL)
		chunks->link = &chunk->next;
	chunks = chunk;
	return chunk + 1;
}

static void
release(Chunk *chunk)
{
	*chunk->link = chunk->next;
	if (chunk->next != NULL)
		chunk->next->link = chunk->link;
	free(chunk);
}

void	   *
palloc(Size size)
{
	return allocate(CurrentMemoryContext, size);
}

void	   *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

void
pfree(void *pointer)
{
	release((Chunk *) pointer - 1);
}

void	   *
repalloc(void *pointer, Size size)
{
	Chunk	   *old = (Chunk *) pointer - 1;
	void	   *copy = allocate(old->context, size);

	memcpy(copy, pointer, Min(size, old->size));
	release(old);
	return copy;
}

/* Since the minor releases of 2026 the macros for arrays call these. */
extern void *palloc_mul(Size s1, Size s2);
extern void *palloc0_mul(Size s1, Size s2);
extern void *repalloc_mul(void *pointer, Size s1, Size s2);

void	   *
palloc_mul(Size s1, Size s2)
{
	return palloc(s1 * s2);
}

void	   *
palloc0_mul(Size s1, Size s2)
{
	return palloc0(s1 * s2);
}

void	   *
repalloc_mul(void *pointer, Size s1, Size s2)
{
	return repalloc(pointer, s1 * s2);
}

char *
pstrdup(const char *text)
{
	return strcpy(palloc(strlen(text) + 1), text);
}

char *
pnstrdup(const char *text, Size len)
{
	char	   *copy = palloc(strnlen(text, len) + 1);

	len = strnlen(text, len);
	memcpy(copy, text, len);
	copy[len] = '\0';
	return copy;
}

void	   *
MemoryContextAlloc(MemoryContext context, Size size)
{
	return allocate(context, size);
}

void	   *
MemoryContextAllocZero(MemoryContext context, Size size)
{
	return memset(allocate(context, size), 0, size);
}

char *
MemoryContextStrdup(MemoryContext context, const char *text)
{
	return strcpy(allocate(context, strlen(text) + 1), text);
}

MemoryContext
AllocSetContextCreateInternal(MemoryContext parent, const char *name, Size min, Size initial, Size max)
{
	Context    *context = calloc(1, sizeof(Context));

	context->next = contexts;
	contexts = context;
	return &context->head;
}

void
MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *callback)
{
	callback->next = context->reset_cbs;
	context->reset_cbs = callback;
}

void
MemoryContextSetParent(MemoryContext context, MemoryContext parent)
{
}

void
MemoryContextDelete(MemoryContext context)
{
	Context   **link = &contexts;
	Chunk	   *next;

	for (MemoryContextCallback *callback = context->reset_cbs; callback != NULL; callback = callback->next)
		callback->func(callback->arg);
	for (Chunk *chunk = chunks; chunk != NULL; chunk = next)
	{
		next = chunk->next;
		if (chunk->context == context)
			release(chunk);
	}
	while (&(*link)->head != context)
		link = &(*link)->next;
	*link = (*link)->next;
	free(context);
}

void
shim_reset(void)
{
	while (contexts != NULL)
		MemoryContextDelete(&contexts->head);
	while (chunks != NULL)
		release(chunks);
}

/* Keeps what has been allocated so far: the keys that all inputs meet. */
void
shim_keep(void)
{
	chunks = NULL;
	contexts = NULL;
}

/* Errors: the text is kept, the caller of the parser goes on. */
bool
errstart(int elevel, const char *domain)
{
	shim_error[0] = '\0';
	return true;
}

bool
errstart_cold(int elevel, const char *domain)
{
	return errstart(elevel, domain);
}

void
errfinish(const char *file, int line, const char *function)
{
	siglongjmp(shim_catch, 1);
}

#define TEXT_OF(name) \
int name(const char *fmt,...) \
{ \
	va_list		args; \
	va_start(args, fmt); \
	vsnprintf(shim_error, sizeof(shim_error), fmt, args); \
	va_end(args); \
	return 0; \
}
TEXT_OF(errmsg)
TEXT_OF(errmsg_internal)
TEXT_OF(errdetail)
TEXT_OF(errdetail_internal)
TEXT_OF(errhint)
int			errcode(int sqlerrcode) { return 0; }

void
ProcessInterrupts(void)
{
}

/* In a program's libpgcommon the result comes from malloc, in a backend from palloc. */
pg_wchar   *__real_unicode_normalize(UnicodeNormalizationForm form, const pg_wchar *input);
pg_wchar   *__wrap_unicode_normalize(UnicodeNormalizationForm form, const pg_wchar *input);

pg_wchar *
__wrap_unicode_normalize(UnicodeNormalizationForm form, const pg_wchar *input)
{
	pg_wchar   *result = __real_unicode_normalize(form, input);
	pg_wchar   *copy;
	int			len = 0;

	if (result == NULL)
		abort();
	while (result[len] != 0)
		len++;
	copy = palloc((len + 1) * sizeof(pg_wchar));
	memcpy(copy, result, (len + 1) * sizeof(pg_wchar));
	free(result);
	return copy;
}

/* A backend stops at max_stack_depth; the parsers must stop long before. */
void
check_stack_depth(void)
{
	static char *base = NULL;
	char		here;

	if (base == NULL)
		base = &here;
	if (labs(base - &here) > 1024 * 1024)
		abort();
}

void
ExceptionalCondition(const char *condition, const char *type, const char *file, int line)
{
	fprintf(stderr, "assertion failed: %s, %s:%d\n", condition, file, line);
	abort();
}

int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

bool
pg_verify_mbstr(int encoding, const char *text, int len, bool no_error)
{
	return pg_encoding_verifymbstr(encoding, text, len) == len;
}

int
pg_mblen(const char *text)
{
	return pg_encoding_mblen(PG_UTF8, text);
}

bool
pg_strong_random(void *buffer, size_t len)
{
	/* The same in every run. */
	memset(buffer, 0x5a, len);
	return true;
}

void
escape_json(StringInfo out, const char *text)
{
	appendStringInfoChar(out, '"');
	for (; *text != '\0'; text++)
	{
		if (*text == '"' || *text == '\\')
			appendStringInfoChar(out, '\\');
		if ((unsigned char) *text < ' ')
			appendStringInfo(out, "\\u%04x", *text);
		else
			appendStringInfoChar(out, *text);
	}
	appendStringInfoChar(out, '"');
}
