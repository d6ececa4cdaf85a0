/*-------------------------------------------------------------------------
 *
 * api_key.h
 *		API keys: lab_<environment>_<id>_<secret>_<checksum> (P63).
 *
 * IDENTIFICATION
 *	  src/identity/api_key.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_API_KEY_H
#define LABOS_API_KEY_H

#include "utils/uuid.h"

#define LB_API_KEY_ENV_MAX		16	/* lower-case letters and digits */
#define LB_API_KEY_ID_LENGTH	12	/* base62: names the key, no secret */
#define LB_API_KEY_SECRET_LENGTH 43	/* base62: 256 bits */
#define LB_API_KEY_CRC_LENGTH	8	/* lower-case hex */
#define LB_API_KEY_MAX			(4 + LB_API_KEY_ENV_MAX + 1 + LB_API_KEY_ID_LENGTH + 1 + \
								 LB_API_KEY_SECRET_LENGTH + 1 + LB_API_KEY_CRC_LENGTH)
#define LB_API_KEY_DIGEST_SIZE	32

typedef struct LbApiKey
{
	char		id[LB_API_KEY_ID_LENGTH + 1];
	int			prefix_len;		/* lab_<environment>_<id> */
	uint8		digest[LB_API_KEY_DIGEST_SIZE];	/* SHA-256 of the secret */
} LbApiKey;

/* labos.api_key_environment: what new keys are marked with. */
extern char *lb_setting_api_key_environment;

/* 1 to 16 of [a-z0-9], a letter first. */
extern bool lb_api_key_environment_ok(const char *name, int len);

/* CRC-32 of IEEE 802.3, as zlib has it. */
extern uint32 lb_crc32(const char *bytes, int len);

/*
 * Reads a key: shape and checksum.  False for anything else; what it says of
 * the key is then undefined.  Allocates nothing, never raises.
 */
extern bool lb_api_key_parse(const char *text, int len, LbApiKey *key);

/* A new key, terminated, in text (LB_API_KEY_MAX + 1); false without entropy. */
extern bool lb_api_key_make(const char *environment, char *text, LbApiKey *key);

/* Whose session a key opens. */
typedef struct LbApiKeyOwner
{
	pg_uuid_t	session;
	pg_uuid_t	user;
	pg_uuid_t	org;
} LbApiKeyOwner;

/* Does the key exist, with this secret?  Asks the database. */
extern bool lb_api_key_find(const char *text, int len, LbApiKeyOwner *owner);

#endif							/* LABOS_API_KEY_H */
