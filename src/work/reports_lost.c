/*
 * reports_lost - what was handed on and no worker will say a word about.
 *
 * A worker dies with what it holds, and perhaps with something that it took
 * and had not said yet: what lies in no queue and nobody has after a while is
 * lost. A connection is over then; a run ends with its worker, or is begun
 * again if nobody is known to have taken it.
 *
 * What workers do say is reports.c's.
 */
#include "work/pass.h"
#include "work/worker.h"

void reports_ended(struct pool *p, struct held *h, pid_t pid)
{
	h->end.worker = pid;
	arrival_end(p->service, &h->end);
}

/* ---- a worker has died ---- */

struct death {
	struct worker *w;
	const struct child_exit *e;
	bool unsaid;		/* somebody may have died with an unsaid one */
};

static void lose(void *arg, struct held *h)
{
	struct death *d = arg;
	struct pool *p = d->w->generation->pool;
	struct run *r = h->run;
	char how[96];
	int status = -1;

	d->unsaid |= !h->taken && !h->worker;
	if (h->worker != d->w)
		return;
	if (!h->is_run)
		reports_ended(p, h, d->w->pid);
	reports_forget(p, h);
	if (!r)
		return;
	if (d->e->known)
		status = d->e->signaled ? 128 + d->e->status
		       : d->e->status ? d->e->status : 1;
	child_exit_text(d->e, how, sizeof(how));
	r->done(r, status, how);
}

/* In no queue, and nobody said he took it. */
static void unsaid(void *arg, struct held *h)
{
	struct pool *p = arg;
	struct run *r = h->run;

	if (h->taken || h->worker || h->finished ||
	    loop_us() - h->handed_us < REPORTS_LOST_MS * 1000 ||
	    arrival_is_waiting(p->service, h->id))
		return;
	if (!h->is_run)
		reports_ended(p, h, 0);
	reports_forget(p, h);
	if (r)
		r->again(r);
}

static void on_sweep(void *arg)
{
	struct pool *p = arg;
	struct generation *g;
	uint32_t waiting = 0;

	TAILQ_FOREACH(g, &p->generations, entry)
		if (g->queue)
			waiting += queue_count(g->queue);
	if (waiting)
		reports_sweep(p);
	else
		held_each(pass_of(p)->held, unsaid, p);
}

void reports_sweep(struct pool *p)
{
	timer_set(p->service->u->loop, &pass_of(p)->sweep,
		  REPORTS_LOST_MS + 100, on_sweep, p);
}

void reports_died(struct worker *w, const struct child_exit *e)
{
	struct death d = { w, e, false };
	struct pool *p = w->generation->pool;
	struct held_table *t = pass_of(p)->held;

	if (!t)
		return;
	held_each(t, lose, &d);
	if (d.unsaid)
		reports_sweep(p);
}

/* ---- the end ---- */

static void drop(void *arg, struct held *h)
{
	struct pool *p = arg;
	struct run *r = h->run;

	if (!h->is_run)
		reports_ended(p, h, h->worker ? h->worker->pid : 0);
	reports_forget(p, h);
	if (r)
		r->done(r, -1, "usher ended its worker");
}

void reports_drop(struct pool *p)
{
	if (pass_of(p)->held)
		held_each(pass_of(p)->held, drop, p);
}
