/*-------------------------------------------------------------------------
 *
 * secrets.h
 *		Encryption of stored secrets: AES-256-GCM under a master key.
 *
 * A sealed secret is
 *		'L' 'B' 'S' '1' 'E' key-id[8] nonce[12] ciphertext tag[16]
 * or, while no master key is configured, marked as readable by anybody,
 *		'L' 'B' 'S' '1' 'P' SHA-256(context)[32] plaintext
 * The context (what the secret is and whose) is authenticated: a secret that
 * was copied into another row does not open there.
 *
 * IDENTIFICATION
 *	  src/identity/secrets.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_SECRETS_H
#define LABOS_SECRETS_H

#define LB_MASTER_KEY_SIZE	32
#define LB_SEALED_OVERHEAD	41	/* of either form, at most */

typedef struct LbMasterKey
{
	uint8		key[LB_MASTER_KEY_SIZE];
	uint8		id[8];			/* of SHA-256 over a label and the key */
} LbMasterKey;

typedef enum LbOpenStatus
{
	LB_OPEN_OK,
	LB_OPEN_MALFORMED,			/* no sealed secret */
	LB_OPEN_OTHER_KEY,			/* sealed under a key that is not this one */
	LB_OPEN_FORGED				/* altered, or another context */
} LbOpenStatus;

/* Reads 32 bytes, or 64 hexadecimal digits with an optional line end. */
extern bool lb_master_key_parse(const uint8 *bytes, int len, LbMasterKey *key);

/* Returns the length written (len + LB_SEALED_OVERHEAD of room), or -1. */
extern int	lb_secret_seal(const LbMasterKey *key, const uint8 *plain, int len,
						   const char *context, uint8 *sealed);

/* key NULL opens the readable form only; *out_len is filled on success. */
extern LbOpenStatus lb_secret_open(const LbMasterKey *key, const uint8 *sealed,
								   int len, const char *context,
								   uint8 *plain, int *out_len);

/* Is it encrypted (and not merely marked)? */
extern bool lb_secret_is_encrypted(const uint8 *sealed, int len);

/*
 * secrets_sql.c: the same under the configured key, for C callers.  palloc'd.
 * Raise LB105 when the key file cannot be used or the secret does not open.
 */
extern uint8 *lb_secret_seal_current(const uint8 *plain, int len,
									 const char *context, int *out_len);
extern uint8 *lb_secret_open_current(const uint8 *sealed, int len,
									 const char *context, int *out_len);

#endif							/* LABOS_SECRETS_H */
