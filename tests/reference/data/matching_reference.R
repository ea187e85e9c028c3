# Reference values for evalkit's matching, weighting and pair-clustered errors.
#
#   Rscript matching_reference.R FOLDER
#
# writes into the folder named:
#   lalonde.csv                      the data (MatchIt's lalonde, with an id column)
#   matching-reference.json          counts, balance, ATTs and standard errors by method
#   matching-reference-weights.csv   every method's weight and subclass for each unit
# and, if nsw_cps.csv.gz lies there, the same
# short list of methods on 185 NSW treated against 15,992 CPS controls.
#
# Needs MatchIt 4.5.5 or newer. Debian 12 ships 4.5.1, whose nearest matching on a
# propensity score ignores calipers and repeats one control k times for k:1 with
# replacement (mended upstream in 4.5.3 and 4.5.4): the script stops on it, unless
# ALLOW_OLD_MATCHIT=1. The rest is Debian's: r-cran-matching, -sandwich, -lmtest, -clubsandwich,
# -survey, -jsonlite; with optmatch present it also does full and optimal matching,
# with rgenoud genetic matching, with Rglpk cardinality matching.

suppressMessages({
  library(MatchIt); library(Matching); library(sandwich)
  library(lmtest); library(clubSandwich); library(survey); library(jsonlite)
})
if (packageVersion("MatchIt") < "4.5.5" && Sys.getenv("ALLOW_OLD_MATCHIT") != "1")
  stop("MatchIt ", packageVersion("MatchIt"), " ignores calipers; 4.5.5 or newer is needed")
args <- commandArgs(TRUE)
out <- if (length(args)) args[[1]] else "."
have <- function(p) suppressWarnings(requireNamespace(p, quietly = TRUE))
ver <- function(p) if (have(p)) as.character(packageVersion(p)) else NULL

data("lalonde", package = "MatchIt")
d <- data.frame(id = rownames(lalonde), lalonde)
write.csv(d, file.path(out, "lalonde.csv"), row.names = FALSE)
rownames(d) <- d$id

covs <- c("age", "educ", "race", "married", "nodegree", "re74", "re75")
f_ps <- reformulate(covs, "treat")

# ---- one matchit object -> numbers ------------------------------------------
vc_row <- function(fit, V, name, df = NULL) {
  b <- unname(coef(fit)[["treat"]]); s <- sqrt(V["treat", "treat"])
  df <- if (is.null(df)) fit$df.residual else df
  list(est = b, se = s, t = b / s, df = df,
       p = 2 * pt(-abs(b / s), df), vcov = name)
}
cr2_row <- function(fit, cl) {
  V <- vcovCR(fit, cluster = cl, type = "CR2")
  ct <- coef_test(fit, vcov = V, test = "Satterthwaite")
  r <- as.data.frame(ct)["treat", ]
  list(est = unname(coef(fit)[["treat"]]), se = r$SE, t = r$tstat,
       df = r$df_Satt, p = r$p_Satt, vcov = "clubSandwich CR2, Satterthwaite")
}
effects_of <- function(md, adj, cluster) {
  fits <- list(unadjusted = lm(re78 ~ treat, data = md, weights = weights),
               adjusted = lm(reformulate(c("treat", adj), "re78"), data = md,
                             weights = weights))
  lapply(fits, function(fit) {
    r <- list(hc1 = vc_row(fit, vcovHC(fit, type = "HC1"), "sandwich vcovHC HC1"),
              hc3 = vc_row(fit, vcovHC(fit, type = "HC3"), "sandwich vcovHC HC3"))
    if (cluster) {
      r$cluster_subclass <- vc_row(fit, vcovCL(fit, cluster = ~subclass, data = md),
                                   "sandwich vcovCL(~subclass), type HC1, cadjust TRUE")
      r$cluster_subclass_hc0 <- vc_row(
        fit, vcovCL(fit, cluster = ~subclass, data = md, type = "HC0"),
        "sandwich vcovCL(~subclass), type HC0, cadjust TRUE")
      r$cr2_subclass <- tryCatch(cr2_row(fit, md$subclass),
                                 error = function(e) list(error = conditionMessage(e)))
    }
    r
  })
}
bal <- function(x) {
  k <- c("Means Treated", "Means Control", "Std. Mean Diff.", "Var. Ratio",
         "eCDF Mean", "eCDF Max")
  k <- intersect(k, colnames(x))
  o <- lapply(rownames(x), function(v) as.list(setNames(
    unname(x[v, k]), c("mean_t", "mean_c", "smd", "vr", "ecdf_mean", "ks")[match(k,
      c("Means Treated", "Means Control", "Std. Mean Diff.", "Var. Ratio",
        "eCDF Mean", "eCDF Max"))])))
  setNames(o, rownames(x))
}
W <- d[, c("id", "treat")]
record <- function(name, m, call, note = NULL, adj = covs, pairs = TRUE) {
  s <- summary(m, standardize = TRUE)
  before <- s$sum.all
  after <- if (!is.null(s$sum.matched)) s$sum.matched else s$sum.across
  md <- match.data(m, data = d)
  has_sub <- !is.null(m$subclass)
  W[[paste0("w__", name)]] <<- unname(m$weights)
  if (has_sub) W[[paste0("s__", name)]] <<- as.character(m$subclass)
  o <- list(call = call, estimand = m$estimand,
            n = list(treated = sum(m$treat == 1 & m$weights > 0),
                     control = sum(m$treat == 0 & m$weights > 0),
                     ess_treated = s$nn["Matched (ESS)", "Treated"],
                     ess_control = s$nn["Matched (ESS)", "Control"],
                     subclasses = if (has_sub) nlevels(droplevels(m$subclass)) else NA),
            balance_before = bal(before), balance_after = bal(after),
            effects = effects_of(md, adj, has_sub))
  if (!is.null(m$match.matrix) && pairs) {
    mm <- m$match.matrix
    o$pairs <- lapply(setNames(seq_len(nrow(mm)), rownames(mm)),
                      function(i) I(unname(mm[i, !is.na(mm[i, ])])))
  }
  if (!is.null(m$match.matrix) && !has_sub) {       # with replacement
    g <- get_matches(m, data = d, id = "unit")
    fit <- lm(re78 ~ treat, data = g, weights = weights)
    fitx <- lm(reformulate(c("treat", adj), "re78"), data = g, weights = weights)
    lab <- "sandwich vcovCL(~subclass + unit) on get_matches(), type HC1, cadjust TRUE"
    o$effects$get_matches <- list(
      rows = nrow(g),
      unadjusted = vc_row(fit, vcovCL(fit, cluster = ~ subclass + unit, data = g), lab),
      adjusted = vc_row(fitx, vcovCL(fitx, cluster = ~ subclass + unit, data = g), lab))
  }
  if (!is.null(note)) o$note <- note
  o
}

ref <- list(
  about = list(
    data = "lalonde.csv: MatchIt's lalonde, 614 rows, 185 treated",
    formula = deparse(f_ps, 500), outcome = "re78",
    smd = paste("MatchIt summary: difference in weighted means over the treated",
                "group's unweighted SD before matching (ATT)"),
    software = list(R = R.version.string, MatchIt = ver("MatchIt"),
                    Matching = ver("Matching"), sandwich = ver("sandwich"),
                    clubSandwich = ver("clubSandwich"), survey = ver("survey"),
                    optmatch = ver("optmatch"), rgenoud = ver("rgenoud"),
                    Rglpk = ver("Rglpk"))))

ps <- glm(f_ps, data = d, family = binomial)
ref$propensity <- list(coef = as.list(coef(ps)), se = as.list(sqrt(diag(vcov(ps)))),
                       deviance = ps$deviance,
                       sd_ps = sd(fitted(ps)), sd_logit = sd(predict(ps)))
W$ps <- fitted(ps)

fit0 <- lm(re78 ~ treat, data = d)
fit1 <- lm(reformulate(c("treat", covs), "re78"), data = d)
ref$naive <- list(
  difference = vc_row(fit0, vcovHC(fit0, "HC1"), "HC1"),
  regression = vc_row(fit1, vcovHC(fit1, "HC1"), "HC1"),
  regression_hc3 = vc_row(fit1, vcovHC(fit1, "HC3"), "HC3"))

M <- list()
add <- function(name, expr, note = NULL, ...) {
  call <- paste(deparse(substitute(expr), 500), collapse = " ")
  set.seed(1)
  m <- tryCatch(suppressWarnings(eval.parent(substitute(expr))), error = function(e) e)
  M[[name]] <<- if (inherits(m, "error")) list(call = call, error = conditionMessage(m))
                else record(name, m, call, note, ...)
}
add("nearest", matchit(f_ps, data = d, method = "nearest"),
    "Treated taken from the largest propensity score down (m.order 'largest')")
add("nearest_data_order", matchit(f_ps, data = d, method = "nearest", m.order = "data"))
add("nearest_smallest", matchit(f_ps, data = d, method = "nearest", m.order = "smallest"))
add("nearest_closest", matchit(f_ps, data = d, method = "nearest", m.order = "closest"))
add("nearest_atc", matchit(f_ps, data = d, method = "nearest", estimand = "ATC",
    replace = TRUE))
add("nearest_replace", matchit(f_ps, data = d, method = "nearest", replace = TRUE))
add("nearest_caliper", matchit(f_ps, data = d, method = "nearest", caliper = 0.2),
    "Caliper 0.2 SD of the propensity score itself, SD over all 614 units")
add("nearest_caliper_logit", matchit(f_ps, data = d, method = "nearest",
    distance = "glm", link = "linear.logit", caliper = 0.2),
    "Caliper 0.2 SD of the linear predictor, SD over all 614 units")
add("nearest_caliper_replace", matchit(f_ps, data = d, method = "nearest",
    caliper = 0.2, replace = TRUE))
add("nearest_2to1", matchit(f_ps, data = d, method = "nearest", ratio = 2))
add("nearest_3to1_replace", matchit(f_ps, data = d, method = "nearest", ratio = 3,
    replace = TRUE))
add("exact_race_nearest", matchit(f_ps, data = d, method = "nearest", exact = ~race))
add("exact_race_nearest_caliper", matchit(f_ps, data = d, method = "nearest",
    exact = ~race, caliper = 0.2))
add("mahalanobis", matchit(f_ps, data = d, method = "nearest", distance = "mahalanobis"))
add("mahalanobis_replace", matchit(f_ps, data = d, method = "nearest",
    distance = "mahalanobis", replace = TRUE))
add("mahalanobis_3to1_replace", matchit(f_ps, data = d, method = "nearest",
    distance = "mahalanobis", ratio = 3, replace = TRUE))
add("robust_mahalanobis", matchit(f_ps, data = d, method = "nearest",
    distance = "robust_mahalanobis"))
add("scaled_euclidean", matchit(f_ps, data = d, method = "nearest",
    distance = "scaled_euclidean"))
add("mahalanobis_ps_caliper", matchit(f_ps, data = d, method = "nearest",
    mahvars = ~ age + educ + re74 + re75, caliper = 0.2),
    "Nearest on Mahalanobis of four covariates inside a propensity-score caliper")
add("exact", matchit(treat ~ race + married + nodegree, data = d, method = "exact"))
add("cem", matchit(f_ps, data = d, method = "cem"), "cutpoints 'sturges'")
add("cem_k2k", matchit(f_ps, data = d, method = "cem", k2k = TRUE))
add("cem_cutpoints", matchit(f_ps, data = d, method = "cem",
    cutpoints = list(age = c(20, 25, 30, 40), educ = c(8.5, 11.5), re74 = c(0.5, 5000, 10000),
                     re75 = c(0.5, 5000, 10000))))
add("subclass", matchit(f_ps, data = d, method = "subclass", subclass = 6),
    "Weights are the ATT subclass weights; cluster rows cluster on six subclasses only: not to be used for inference")
add("subclass_ate", matchit(f_ps, data = d, method = "subclass", subclass = 6,
    estimand = "ATE"))
add("discard_both", matchit(f_ps, data = d, method = "nearest", discard = "both",
    replace = TRUE), "Common-support discard of both groups, then nearest with replacement")
if (have("optmatch")) {
  add("full", matchit(f_ps, data = d, method = "full"))
  add("full_ate", matchit(f_ps, data = d, method = "full", estimand = "ATE"))
  add("full_caliper", matchit(f_ps, data = d, method = "full", caliper = 0.2))
  add("full_exact_race", matchit(f_ps, data = d, method = "full", exact = ~race))
  add("optimal", matchit(f_ps, data = d, method = "optimal"))
  add("optimal_2to1", matchit(f_ps, data = d, method = "optimal", ratio = 2))
}
if (have("rgenoud")) add("genetic", matchit(f_ps, data = d, method = "genetic",
    pop.size = 50, replace = FALSE),
    "Stochastic (seed 1, pop.size 50): compare balance, not pairs")
if (have("Rglpk")) add("cardinality", matchit(f_ps, data = d, method = "cardinality",
    tols = 0.05, ratio = 1, solver = "glpk", time = 60),
    "The chosen set need not be unique: compare counts and balance")
# total matched distance on the propensity score, where pairs or sets are formed
tot <- function(name) {
  s <- W[[paste0("s__", name)]]; if (is.null(s)) return(NULL)
  p <- W$ps; t <- W$treat; ok <- !is.na(s)
  sum(sapply(split(which(ok), s[ok]), function(i) {
    a <- i[t[i] == 1]; b <- i[t[i] == 0]
    if (length(a) == 0 || length(b) == 0) 0 else sum(abs(outer(p[a], p[b], "-")))
  }))
}
for (n in names(M)) if (!is.null(M[[n]]$n)) M[[n]]$total_ps_distance <- tot(n)
ref$matchit <- M

# ---- Matching::Match: Abadie-Imbens -----------------------------------------
X <- model.matrix(reformulate(covs), d)[, -1]
e <- fitted(ps); lp <- predict(ps)
am <- function(...) {
  call <- paste(deparse(substitute(list(...)), 500), collapse = " ")
  r <- Match(Y = d$re78, Tr = d$treat, ...)
  list(args = sub("^list", "", call), est = c(r$est), se_ai = if (is.null(r$se)) NA else c(r$se),
       se_standard = r$se.standard, se_cond = if (is.null(r$se.cond)) NA else r$se.cond,
       wnobs = r$wnobs, nobs = r$nobs, n_pairs = length(r$index.treated),
       ndrops = r$ndrops)
}
ref$matching_match <- list(
  ps_att = am(X = e, M = 1, estimand = "ATT"),
  logit_att = am(X = lp, M = 1, estimand = "ATT"),
  ps_att_m3 = am(X = e, M = 3, estimand = "ATT"),
  ps_att_caliper = am(X = e, M = 1, estimand = "ATT", caliper = 0.2),
  ps_att_noties = { set.seed(1); am(X = e, M = 1, estimand = "ATT", ties = FALSE) },
  ps_att_noreplace = { set.seed(1); am(X = e, M = 1, estimand = "ATT", replace = FALSE) },
  ps_ate = am(X = e, M = 1, estimand = "ATE"),
  ps_att_bias = am(X = e, Z = X, M = 1, estimand = "ATT", BiasAdjust = TRUE),
  inverse_variance_att_m4 = am(X = X, M = 4, estimand = "ATT", Weight = 1),
  mahalanobis_att_m1 = am(X = X, M = 1, estimand = "ATT", Weight = 2),
  mahalanobis_att_m3 = am(X = X, M = 3, estimand = "ATT", Weight = 2),
  mahalanobis_att_m4_bias = am(X = X, Z = X, M = 4, estimand = "ATT", Weight = 2,
                               BiasAdjust = TRUE),
  mahalanobis_ate_m4 = am(X = X, M = 4, estimand = "ATE", Weight = 2),
  mahalanobis_att_m4_var4 = am(X = X, M = 4, estimand = "ATT", Weight = 2, Var.calc = 4))

# ---- weighting ---------------------------------------------------------------
wts <- list(att = ifelse(d$treat == 1, 1, e / (1 - e)),
            ate = ifelse(d$treat == 1, 1 / e, 1 / (1 - e)),
            ato = ifelse(d$treat == 1, 1 - e, e),
            atm = pmin(e, 1 - e) / ifelse(d$treat == 1, e, 1 - e))
ipw <- lapply(wts, function(w) {
  d$w <- w; des <- svydesign(ids = ~1, weights = ~w, data = d)
  g <- svyglm(re78 ~ treat, design = des)
  fit <- lm(re78 ~ treat, data = d, weights = w)
  ess <- function(v) sum(v)^2 / sum(v^2)
  list(est = unname(coef(fit)["treat"]), se_survey = unname(SE(g)["treat"]),
       se_hc0 = sqrt(vcovHC(fit, "HC0")["treat", "treat"]),
       se_hc1 = sqrt(vcovHC(fit, "HC1")["treat", "treat"]),
       ess_treated = ess(w[d$treat == 1]), ess_control = ess(w[d$treat == 0]),
       max_weight = max(w),
       smd = as.list(apply(X, 2, function(x) (weighted.mean(x[d$treat == 1], w[d$treat == 1]) -
         weighted.mean(x[d$treat == 0], w[d$treat == 0])) / sd(x[d$treat == 1]))))
})
# entropy balancing (first moments, ATT): Newton on the dual
ebal <- function(Xc, target, base = rep(1, nrow(Xc)), tol = 1e-12) {
  Z <- sweep(Xc, 2, target); sc <- apply(Xc, 2, sd); Z <- sweep(Z, 2, sc, "/")
  obj <- function(b) { u <- drop(Z %*% b); mx <- max(u); mx + log(sum(base * exp(u - mx))) }
  b <- rep(0, ncol(Z))
  for (i in 1:500) {
    u <- drop(Z %*% b); p <- base * exp(u - max(u)); p <- p / sum(p)
    g <- colSums(Z * p); if (max(abs(g)) < tol) break
    H <- crossprod(Z, Z * p) - tcrossprod(g); st <- solve(H, g); s <- 1
    while (obj(b - s * st) > obj(b) - 1e-4 * s * sum(g * st) && s > 1e-10) s <- s / 2
    b <- b - s * st
  }
  list(w = p, iter = i, gap = max(abs(g)))
}
tr <- d$treat == 1
eb <- ebal(X[!tr, ], colMeans(X[tr, ]))
we <- numeric(nrow(d)); we[tr] <- 1; we[!tr] <- eb$w * sum(tr)
W$w__entropy_balance <- we
fit <- lm(re78 ~ treat, data = d, weights = we)
ipw$entropy_balance_att <- list(
  est = unname(coef(fit)["treat"]), se_hc1 = sqrt(vcovHC(fit, "HC1")["treat", "treat"]),
  ess_control = sum(we[!tr])^2 / sum(we[!tr]^2), max_weight = max(we[!tr]), max_gap = eb$gap)
# AIPW, no cross-fitting: logit score, OLS outcome in each arm
m1 <- predict(lm(reformulate(covs, "re78"), d[tr, ]), d)
m0 <- predict(lm(reformulate(covs, "re78"), d[!tr, ]), d)
y <- d$re78; t <- d$treat
psi <- m1 - m0 + t * (y - m1) / e - (1 - t) * (y - m0) / (1 - e)
psi_t <- (t * (y - m0) - (1 - t) * e / (1 - e) * (y - m0)) / mean(t)
ate <- mean(psi); att <- mean(psi_t)
ipw$aipw <- list(
  ate = list(est = ate, se = sd(psi - ate) / sqrt(nrow(d))),
  att = list(est = att, se = sqrt(mean((psi_t - t * att / mean(t))^2) / nrow(d))),
  note = "ATE se uses n-1 in the sd; ATT se is sqrt(mean(if^2)/n)")
ref$weighting <- ipw

# ---- sensitivity: Rosenbaum bounds on the 1:1 pairs ---------------------------
# signed-rank bound (normal approximation), as in Rosenbaum (2002, section 4.3)
rosen <- function(dif, gam) {
  dif <- dif[dif != 0]; r <- rank(abs(dif)); Tp <- sum(r[dif > 0])
  f <- function(p) { E <- p * sum(r); V <- p * (1 - p) * sum(r^2); pnorm((Tp - E) / sqrt(V), lower.tail = FALSE) }
  c(lower = f(1 / (1 + gam)), upper = f(gam / (1 + gam)))
}
pair_diff <- function(name) {
  mm <- ref$matchit[[name]]$pairs; mm <- mm[lengths(mm) == 1]
  d[names(mm), "re78"] - d[unlist(mm), "re78"]
}
gs <- c(1, 1.1, 1.2, 1.3, 1.5, 2)
ref$rosenbaum_signed_rank <- lapply(c(nearest_caliper = "nearest_caliper",
  exact_race_nearest_caliper = "exact_race_nearest_caliper"), function(n) {
  dd <- pair_diff(n)
  list(pairs = length(dd), zero_differences = sum(dd == 0), one_sided = "treated greater",
       gamma = gs, p_lower = sapply(gs, function(g) rosen(dd, g)[["lower"]]),
       p_upper = sapply(gs, function(g) rosen(dd, g)[["upper"]]))
})
ev <- function(rr) { rr <- ifelse(rr < 1, 1 / rr, rr); rr + sqrt(rr * (rr - 1)) }
ref$e_value <- list(formula = "RR + sqrt(RR (RR - 1)), RR inverted below 1",
                    rr = c(0.5, 0.8, 1.2, 1.5, 2, 3.9), e = ev(c(0.5, 0.8, 1.2, 1.5, 2, 3.9)))

# ---- the larger data set -----------------------------------------------------
big <- file.path(out, "nsw_cps.csv.gz")
if (file.exists(big)) {
  b <- read.csv(big); b <- b[b$sample != "nsw_control", ]
  rownames(b) <- b$id
  bf <- treat ~ age + educ + black + hisp + marr + nodegree + re74 + re75
  bp <- glm(bf, data = b, family = binomial)
  one <- function(m) {
    s <- summary(m); md <- match.data(m, data = b)
    fit <- lm(re78 ~ treat, data = md, weights = weights)
    aft <- if (!is.null(s$sum.matched)) s$sum.matched else s$sum.across
    list(n = list(treated = sum(m$treat == 1 & m$weights > 0),
                  control = sum(m$treat == 0 & m$weights > 0),
                  ess_control = s$nn["Matched (ESS)", "Control"]),
         smd_before = as.list(s$sum.all[, "Std. Mean Diff."]),
         smd_after = as.list(aft[, "Std. Mean Diff."]),
         att = unname(coef(fit)["treat"]),
         se_hc1 = sqrt(vcovHC(fit, "HC1")["treat", "treat"]),
         se_cluster_subclass = if (!is.null(m$subclass)) sqrt(vcovCL(fit, cluster = ~subclass,
           data = md)["treat", "treat"]) else NA)
  }
  am2 <- function(...) { r <- Match(Y = b$re78, Tr = b$treat, ...)
    list(est = c(r$est), se_ai = if (is.null(r$se)) NA else c(r$se), n_pairs = length(r$index.treated), wnobs = r$wnobs) }
  XB <- model.matrix(bf, b)[, -1]
  set.seed(1)
  ref$nsw_cps <- list(
    rows = nrow(b), treated = sum(b$treat),
    naive = unname(coef(lm(re78 ~ treat, b))["treat"]),
    nearest = one(matchit(bf, b)),
    nearest_replace = one(matchit(bf, b, replace = TRUE)),
    nearest_caliper = one(matchit(bf, b, caliper = 0.2)),
    nearest_caliper_logit = one(matchit(bf, b, link = "linear.logit", caliper = 0.2)),
    mahalanobis_3to1_replace = one(matchit(bf, b, distance = "mahalanobis", ratio = 3, replace = TRUE)),
    cem = one(matchit(bf, b, method = "cem")),
    subclass = one(matchit(bf, b, method = "subclass", subclass = 6)),
    match_ps_att = am2(X = fitted(bp), M = 1, estimand = "ATT"),
    match_logit_att = am2(X = predict(bp), M = 1, estimand = "ATT"),
    match_mahalanobis_m4_bias = am2(X = XB, Z = XB, M = 4, estimand = "ATT", Weight = 2, BiasAdjust = TRUE))
}

write_json(ref, file.path(out, "matching-reference.json"), auto_unbox = TRUE,
           digits = NA, pretty = TRUE, na = "null")
write.csv(W, file.path(out, "matching-reference-weights.csv"), row.names = FALSE)
for (n in names(ref$matchit)) { o <- ref$matchit[[n]]
  if (!is.null(o$error)) { cat(sprintf("%-28s ERROR %s\n", n, o$error)); next }
  e0 <- o$effects$unadjusted; cl <- e0$cluster_subclass
  cat(sprintf("%-28s nt %4d nc %4d essc %6.1f  max|smd| %.3f  att %8.1f hc1 %7.1f cl %s\n", n,
      o$n$treated, o$n$control, o$n$ess_control,
      max(abs(unlist(lapply(o$balance_after, `[[`, "smd"))), na.rm = TRUE),
      e0$hc1$est, e0$hc1$se, if (is.null(cl)) "-" else sprintf("%.1f", cl$se))) }
