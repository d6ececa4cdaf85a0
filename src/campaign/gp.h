/*-------------------------------------------------------------------------
 *
 * gp.h
 *		Gaussian process regression with a Matern-5/2 kernel, one length a
 *		dimension.
 *
 * Inputs are meant to lie in the unit cube.  Values are standardised and, when
 * asked for and the data need it, warped towards a normal distribution (Yeo-Johnson);
 * means and deviations are in warped units, lb_gp_warp and lb_gp_unwarp lead
 * there and back and keep the order.
 *
 * IDENTIFICATION
 *	  src/campaign/gp.h
 *
 *-------------------------------------------------------------------------
 */
#ifndef LABOS_GP_H
#define LABOS_GP_H

typedef struct LbGp
{
	int			n;				/* observations, believed ones included */
	int			d;
	int			room;			/* observations that fit */
	double	   *x;				/* room * d */
	double	   *y;				/* warped */
	double		mean;			/* of raw values */
	double		scale;			/* deviation of raw values */
	double		lambda;			/* Yeo-Johnson exponent, 1 = none */
	double		warp_mean;		/* of warped values */
	double		warp_scale;
	double	   *weight;			/* 1 / length^2, d of them */
	double		signal;			/* variances, warped units */
	double		noise;
	double	   *l;				/* Cholesky factor, leading dimension n */
	double	   *linv;			/* room * room, leading dimension room */
	double	   *alpha;			/* K^-1 y */
} LbGp;

/* Fit n observations (n >= 2); "more" can be appended.  palloc'd. */
extern LbGp *lb_gp_fit(const double *x, const double *y, int n, int d, int more,
					   bool warp);

/* Covariances with x into k (n), L^-1 k into v (n); mean and deviation. */
extern void lb_gp_predict(const LbGp *gp, const double *x, double *k, double *v,
						  double *mean, double *sd);

/* The same with gradients (d each); u is scratch (n). */
extern void lb_gp_predict_gradient(const LbGp *gp, const double *x, double *k,
								   double *v, double *u, double *mean, double *sd,
								   double *mean_grad, double *sd_grad);

/* Believe a (warped) value at x: the mean elsewhere stays as it is if that is the mean. */
extern void lb_gp_append(LbGp *gp, const double *x, double y);

extern double lb_gp_warp(const LbGp *gp, double raw);
extern double lb_gp_unwarp(const LbGp *gp, double warped);

#endif							/* LABOS_GP_H */
