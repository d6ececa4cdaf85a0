/*-------------------------------------------------------------------------
 *
 * crypto.h
 *		Settings of the cryptographic rooms.
 *
 * IDENTIFICATION
 *	  src/identity/crypto.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_CRYPTO_H
#define LABOS_CRYPTO_H

typedef enum LbPasswordScheme
{
	LB_PASSWORD_ARGON2ID,
	LB_PASSWORD_BCRYPT
} LbPasswordScheme;

typedef enum LbPasswordPolicy
{
	LB_POLICY_CLASSIC,
	LB_POLICY_NIST
} LbPasswordPolicy;

extern int	lb_setting_jwt_leeway;		/* seconds */
extern int	lb_setting_password_scheme;	/* LbPasswordScheme */
extern int	lb_setting_password_policy;	/* LbPasswordPolicy */
extern int	lb_setting_password_min_length;	/* characters */
extern int	lb_setting_argon2_memory;	/* KiB */
extern int	lb_setting_argon2_iterations;
extern int	lb_setting_bcrypt_cost;		/* log2 of rounds */
extern char *lb_setting_master_key_file;
extern char *lb_setting_master_key_previous_file;

/* Defines them; _PG_init calls it before it reserves the prefix. */
extern void lb_identity_crypto_init(void);

#endif							/* LABOS_CRYPTO_H */
