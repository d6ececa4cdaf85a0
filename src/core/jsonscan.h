/*-------------------------------------------------------------------------
 *
 * jsonscan.h
 *		A strict JSON scanner for bytes that nobody has vouched for.
 *
 * Unlike json_in() it never raises on bad input, refuses a member name that
 * occurs twice in one object (after unescaping), invalid UTF-8, \u0000, lone
 * surrogates and nesting beyond a given depth, and shows the members of the
 * outermost object where they stand in the text.
 *
 * IDENTIFICATION
 *	  src/core/jsonscan.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_JSONSCAN_H
#define LABOS_JSONSCAN_H

typedef enum LbJsonType
{
	LB_JSON_NULL,
	LB_JSON_BOOL,
	LB_JSON_NUMBER,
	LB_JSON_STRING,
	LB_JSON_ARRAY,
	LB_JSON_OBJECT
} LbJsonType;

/* A member of the outermost object; value is its text, quotes included. */
typedef struct LbJsonMember
{
	const char *name;			/* unescaped, not terminated */
	int			name_len;
	LbJsonType	type;
	const char *value;
	int			value_len;
} LbJsonMember;

typedef struct LbJsonObject
{
	LbJsonMember *members;		/* palloc'd */
	int			count;
} LbJsonObject;

/*
 * Scan text, which must be one object with nothing but white space around it.
 * Returns false when it is anything else.  What it palloc's stays in the
 * current context.
 */
extern bool lb_jsonscan_object(const char *text, int len, int max_members,
							   int max_depth, LbJsonObject *object);

extern const LbJsonMember *lb_jsonscan_find(const LbJsonObject *object,
											const char *name);

/*
 * The string under name, unescaped, palloc'd and terminated; NULL when it is
 * absent or no string.  *len may be NULL.
 */
extern char *lb_jsonscan_text(const LbJsonObject *object, const char *name,
							  int *len);

/* Strings of an array member; returns their number, -1 when it is not that. */
extern int	lb_jsonscan_strings(const LbJsonMember *member, char **strings,
								int max_strings);

/* The finite number of a member; false when it is no number or overflows. */
extern bool lb_jsonscan_number(const LbJsonMember *member, double *result);

#endif							/* LABOS_JSONSCAN_H */
