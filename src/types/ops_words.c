/*-------------------------------------------------------------------------
 *
 * ops_words.c
 *		Full text search on plain text columns that cannot leak, for labos_ops.
 *
 * to_tsvector() is no such function: it raises on a text of too many words
 * and sends a notice for a word that is too long, both on account of rows that
 * a policy may hide.  Here the same parser cuts the same words; a word that
 * cannot be indexed is left out, and so is all that follows the first half
 * megabyte of different words.
 *
 * Words are lower case and as they are: the configuration "simple".  Names of
 * substances, codes and languages mix in a laboratory, and no stemmer is right
 * for all of them.
 *
 * IDENTIFICATION
 *	  src/types/ops_words.c
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_collation_d.h"
#include "fmgr.h"
#include "tsearch/ts_locale.h"
#include "tsearch/ts_type.h"
#include "tsearch/ts_utils.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/formatting.h"

#include "compat.h"

#define DEFAULT_PARSER_TYPES	23
#define MOST_BYTES_OF_WORDS		(MAXSTRPOS / 2)

/*
 * What the configuration "simple" indexes of the tokens of the default parser;
 * left out are tag, protocol, blank and entity.
 */
static bool
token_is_indexed(int type)
{
	return type >= 1 && type <= DEFAULT_PARSER_TYPES &&
		type != 12 && type != 13 && type != 14 && type != 23;
}

static void
add_word(ParsedText *parsed, const char *token, int length)
{
	char	   *word = lb_tsearch_lower(token, length);
	ParsedWord *slot;

	if (parsed->curwords >= parsed->lenwords)
	{
		parsed->lenwords *= 2;
		parsed->words = repalloc(parsed->words, sizeof(ParsedWord) * parsed->lenwords);
	}
	slot = &parsed->words[parsed->curwords++];
	memset(slot, 0, sizeof(ParsedWord));
	slot->len = strlen(word);
	slot->word = word;
	parsed->pos++;				/* LIMITPOS reads it twice */
	slot->pos.pos = LIMITPOS(parsed->pos);
}

/* The words of a text as a tsvector; raises nothing. */
static TSVector
words_of(text *source)
{
	ParsedText	parsed = {0};
	void	   *parser;
	size_t		bytes = 0;

	parsed.lenwords = Max(VARSIZE_ANY_EXHDR(source) / 6, 16);
	parsed.words = palloc(sizeof(ParsedWord) * parsed.lenwords);
	parser = DatumGetPointer(DirectFunctionCall2(prsd_start,
												 PointerGetDatum(VARDATA_ANY(source)),
												 Int32GetDatum(VARSIZE_ANY_EXHDR(source))));
	for (;;)
	{
		char	   *token = NULL;
		int			length = 0;
		int			type = DatumGetInt32(DirectFunctionCall3(prsd_nexttoken,
															 PointerGetDatum(parser),
															 PointerGetDatum(&token),
															 PointerGetDatum(&length)));

		if (type <= 0)
			break;
		/* Lower case may be longer than the word was. */
		if (!token_is_indexed(type) || length >= MAXSTRLEN / 2)
			continue;
		bytes += 2 * length + 16;
		if (bytes > MOST_BYTES_OF_WORDS)
			break;
		add_word(&parsed, token, length);
	}
	DirectFunctionCall1(prsd_end, PointerGetDatum(parser));
	return make_tsvector(&parsed);
}

/*
 * labos_ops.words(text) returns tsvector
 *		The words of a text with their places, as to_tsvector('simple', text)
 *		gives them; without words of 1024 bytes and more, and without what
 *		follows half a megabyte of words.
 *
 * Errors:	none
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_ops_words);

Datum
labos_ops_words(PG_FUNCTION_ARGS)
{
	return TSVectorGetDatum(words_of(PG_GETARG_TEXT_PP(0)));
}

/*
 * labos_ops.text_match(text, tsquery) returns boolean
 *		words(text) @@ query.
 *
 * Errors:	none
 * SQL:		immutable strict parallel safe leakproof
 */
PG_FUNCTION_INFO_V1(labos_ops_text_match);

Datum
labos_ops_text_match(PG_FUNCTION_ARGS)
{
	TSVector	words = words_of(PG_GETARG_TEXT_PP(0));
	Datum		result = DirectFunctionCall2(ts_match_vq, TSVectorGetDatum(words),
											 PG_GETARG_DATUM(1));

	pfree(words);
	return result;
}

/*
 * labos_ops.gin_extract_words(text, internal, internal) returns internal
 *		The keys of a text for gin_words_ops.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_ops_gin_extract_words);

Datum
labos_ops_gin_extract_words(PG_FUNCTION_ARGS)
{
	return DirectFunctionCall2(gin_extract_tsvector,
							   TSVectorGetDatum(words_of(PG_GETARG_TEXT_PP(0))),
							   PG_GETARG_DATUM(1));
}

/*
 * labos_ops.gin_extract_word_query, gin_words_consistent, gin_words_triconsistent
 *		PostgreSQL's own of tsvector, declared for text.
 *
 * SQL:		immutable strict parallel safe
 */
PG_FUNCTION_INFO_V1(labos_ops_gin_extract_word_query);
PG_FUNCTION_INFO_V1(labos_ops_gin_words_consistent);
PG_FUNCTION_INFO_V1(labos_ops_gin_words_triconsistent);

Datum
labos_ops_gin_extract_word_query(PG_FUNCTION_ARGS)
{
	return gin_extract_tsquery(fcinfo);
}

Datum
labos_ops_gin_words_consistent(PG_FUNCTION_ARGS)
{
	return gin_tsquery_consistent(fcinfo);
}

Datum
labos_ops_gin_words_triconsistent(PG_FUNCTION_ARGS)
{
	return gin_tsquery_triconsistent(fcinfo);
}
