/*
 * rules - allow and deny: who may come in at all.
 *
 * One list in file order, the first match wins. CIDRs judge IP peers, users
 * and groups Unix ones; with any allow of a peer's kind, whoever matches
 * nothing is denied.
 */
#ifndef USHER_INLET_RULES_H
#define USHER_INLET_RULES_H

#include "model/model.h"

/*
 * Judges C. *RULE is the one that decided, or NULL: none matched. Groups are
 * asked of C's socket; one without a descriptor (explain) has its primary
 * group only.
 */
bool rules_allow(const struct conf_rules *rules, const struct conn *c,
		 const struct conf_rule **rule);

#endif
