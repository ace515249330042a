/*
 * pack - a configuration as one block; see pack.h.
 *
 * Each struct is copied as it stands; a pointer in the copy becomes the offset
 * of what it pointed to, which is copied too, and is noted in the list of
 * pointers. What hangs on the order of memory (the list of services, the table
 * of their names) is made anew.
 */
#include "conf/pack.h"

#include <stdint.h>
#include <string.h>

#include "conf/keys.h"
#include "conf/names.h"

#define PACK_MAGIC 0x6b63617075687375ull	/* "ushupack" */

/* At the block's start. */
struct head {
	uint64_t magic;
	size_t len, conf, services, nservices, pointers, npointers;
};

struct packer {
	const struct conf *c;
	char *block;
	size_t len, room;
	size_t *pointers;	/* where the block has one */
	size_t npointers, pointers_room;
	size_t *files;		/* where each file's name is */
	size_t spool;
	size_t last;		/* the file that was asked for last */
};

#define MEMBER(at, type, member) ((at) + offsetof(type, member))

static size_t put(struct packer *p, const void *data, size_t len)
{
	size_t at = (p->len + 7) & ~(size_t)7;

	while (at + len > p->room) {
		p->room = p->room ? p->room * 2 : 65536;
		p->block = xrealloc(p->block, p->room);
	}
	memset(p->block + p->len, 0, at - p->len);
	memcpy(p->block + at, data, len);
	p->len = at + len;
	return at;
}

/* The pointer at AT points to what is at TO. */
static void point(struct packer *p, size_t at, size_t to)
{
	if (p->npointers == p->pointers_room) {
		p->pointers_room = p->npointers ? p->npointers * 2 : 1024;
		p->pointers = xrealloc(p->pointers, p->pointers_room *
						    sizeof(*p->pointers));
	}
	memcpy(p->block + at, &to, sizeof(to));
	p->pointers[p->npointers++] = at;
}

static void *pointer(const struct packer *p, size_t at)
{
	void *is;

	memcpy(&is, p->block + at, sizeof(is));
	return is;
}

/* LEN bytes come along that the pointer at AT points to. Returns where they
 * are, 0 where it is NULL. */
static size_t carry(struct packer *p, size_t at, size_t len)
{
	void *from = pointer(p, at);
	size_t to;

	if (!from)
		return 0;
	to = put(p, from, len);
	point(p, at, to);
	return to;
}

/* ---- by type: what the field at AT points to ---- */

typedef void pack_fn(struct packer *p, size_t at);

static void pack_text(struct packer *p, size_t at)
{
	const char *text = pointer(p, at);

	if (text)
		carry(p, at, strlen(text) + 1);
}

static void pack_where(struct packer *p, size_t at)
{
	size_t file = MEMBER(at, struct conf_where, file);
	const char *name = pointer(p, file);
	const struct strv *all = &p->c->files;

	for (size_t i = 0; name && i < all->n; i++, p->last++) {
		p->last %= all->n;
		if (all->v[p->last] == name) {
			point(p, file, p->files[p->last]);
			return;
		}
	}
	memset(p->block + file, 0, sizeof(name));
}

static void pack_strv(struct packer *p, size_t at)
{
	struct strv was;
	size_t list;

	memcpy(&was, p->block + at, sizeof(was));
	if (!was.v)
		return;
	list = carry(p, MEMBER(at, struct strv, v),
		     (was.n + 1) * sizeof(*was.v));
	for (size_t i = 0; i < was.n; i++)
		pack_text(p, list + i * sizeof(*was.v));
}

static void pack_addr(struct packer *p, size_t at)
{
	static const size_t texts[] = {
		offsetof(struct addr, host), offsetof(struct addr, port),
		offsetof(struct addr, path), offsetof(struct addr, text),
		offsetof(struct addr, opt.name),
		offsetof(struct addr, opt.owner),
		offsetof(struct addr, opt.group),
		offsetof(struct addr, opt.interface),
		offsetof(struct addr, opt.source),
	};
	struct addr was;

	memcpy(&was, p->block + at, sizeof(was));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		pack_text(p, at + texts[i]);
	carry(p, MEMBER(at, struct addr, names),
	      was.nnames * sizeof(*was.names));
}

static void pack_addrs(struct packer *p, size_t at)
{
	struct conf_addrs was;
	size_t list;

	memcpy(&was, p->block + at, sizeof(was));
	list = carry(p, MEMBER(at, struct conf_addrs, v),
		     was.n * sizeof(*was.v));
	for (size_t i = 0; i < was.n; i++, list += sizeof(*was.v)) {
		pack_addr(p, MEMBER(list, struct conf_addr, addr));
		pack_where(p, MEMBER(list, struct conf_addr, where));
	}
}

static void pack_rules(struct packer *p, size_t at)
{
	struct conf_rules was;
	size_t list;

	memcpy(&was, p->block + at, sizeof(was));
	list = carry(p, MEMBER(at, struct conf_rules, v),
		     was.n * sizeof(*was.v));
	for (size_t i = 0; i < was.n; i++, list += sizeof(*was.v)) {
		pack_text(p, MEMBER(list, struct conf_rule, text));
		pack_where(p, MEMBER(list, struct conf_rule, where));
	}
}

static void pack_grants(struct packer *p, size_t at)
{
	struct conf_grants was;
	size_t list;

	memcpy(&was, p->block + at, sizeof(was));
	list = carry(p, MEMBER(at, struct conf_grants, v),
		     was.n * sizeof(*was.v));
	for (size_t i = 0; i < was.n; i++, list += sizeof(*was.v))
		pack_text(p, MEMBER(list, struct conf_grant, text));
}

static void pack_cidrs(struct packer *p, size_t at)
{
	struct conf_cidrs was;

	memcpy(&was, p->block + at, sizeof(was));
	carry(p, MEMBER(at, struct conf_cidrs, v), was.n * sizeof(*was.v));
}

static void pack_ready(struct packer *p, size_t at)
{
	size_t probe = carry(p, MEMBER(at, struct conf_ready_value, probe),
			     sizeof(struct addr));

	if (probe)
		pack_addr(p, probe);
}

/* Types that are not here point to nothing, or keys share them: see
 * pack_service. */
static pack_fn *const types[T_FRAME + 1] = {
	[T_ADDRS] = pack_addrs, [T_CONTROL] = pack_addr,
	[T_STRING] = pack_text, [T_MESSAGE] = pack_text,
	[T_PATH] = pack_text,	[T_EXEC] = pack_text,
	[T_READY] = pack_ready, [T_GRANTS] = pack_grants,
	[T_LEVELS] = pack_grants, [T_CIDRS] = pack_cidrs,
	[T_ASSIGN] = pack_strv, [T_NAMES] = pack_strv,
	[T_PATHS] = pack_strv,	[T_GLOBS] = pack_strv,
};

static void pack_keys(struct packer *p, size_t at, const struct key *keys,
		      size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (types[keys[i].type])
			types[keys[i].type](p, at + keys[i].offset);
}

/* ---- in all ---- */

static void pack_user(struct packer *p, size_t at, const struct child_user *u)
{
	carry(p, MEMBER(at, struct child_user, identity.groups),
	      u->identity.ngroups * sizeof(*u->identity.groups));
	pack_text(p, MEMBER(at, struct child_user, name));
	pack_text(p, MEMBER(at, struct child_user, home));
	pack_text(p, MEMBER(at, struct child_user, shell));
}

#define SERVICE(at, member) MEMBER(at, struct conf_service, member)

static void pack_service(struct packer *p, size_t at,
			 const struct conf_service *s)
{
	size_t set;

	memcpy(p->block + at, s, sizeof(*s));
	pack_keys(p, at, service_keys, n_service_keys);
	pack_text(p, SERVICE(at, name));
	pack_text(p, SERVICE(at, title));
	pack_where(p, SERVICE(at, where));
	pack_strv(p, SERVICE(at, argv));	/* of exec */
	pack_text(p, SERVICE(at, program));
	pack_text(p, SERVICE(at, broken));
	pack_text(p, SERVICE(at, agent_of));	/* of builtin */
	pack_rules(p, SERVICE(at, rules));	/* allow and deny */
	pack_user(p, SERVICE(at, who), &s->who);
	set = carry(p, SERVICE(at, set), s->nset * sizeof(*s->set));
	for (size_t i = 0; i < s->nset; i++)
		pack_where(p, MEMBER(set + i * sizeof(*s->set),
				     struct conf_set, where));
	if (s->spool)
		point(p, SERVICE(at, spool), p->spool);
}

#define CONF(at, member) MEMBER(at, struct conf, member)

static void pack_files(struct packer *p, size_t at)
{
	const struct strv *files = &p->c->files;
	size_t names = carry(p, CONF(at, files.v),
			     (files->n + 1) * sizeof(*files->v));
	size_t texts = carry(p, CONF(at, texts),
			     files->n * sizeof(*p->c->texts));

	p->files = xcalloc(files->n, sizeof(*p->files));
	for (size_t i = 0; i < files->n; i++) {
		size_t text = texts + i * sizeof(*p->c->texts);

		p->files[i] = carry(p, names + i * sizeof(*files->v),
				    strlen(files->v[i]) + 1);
		carry(p, MEMBER(text, struct conf_text, text),
		      p->c->texts[i].len);
	}
}

static size_t pack_usher(struct packer *p)
{
	size_t at = put(p, p->c, sizeof(*p->c));
	size_t set;

	pack_files(p, at);
	pack_text(p, CONF(at, path));
	pack_keys(p, at, usher_keys, n_usher_keys);
	set = carry(p, CONF(at, set), n_usher_keys * sizeof(*p->c->set));
	for (size_t i = 0; i < n_usher_keys; i++)
		pack_where(p, set + i * sizeof(*p->c->set));
	memcpy(&p->spool, p->block + CONF(at, spool), sizeof(p->spool));
	return at;
}

void *conf_pack(const struct conf *c, size_t *len)
{
	struct packer p = { .c = c };
	struct head h = { .magic = PACK_MAGIC, .nservices = c->nservices };
	struct conf_service *all = xcalloc(c->nservices + 1, sizeof(*all));
	const struct conf_service *s;
	size_t at;

	put(&p, &h, sizeof(h));
	h.conf = pack_usher(&p);
	h.services = at = put(&p, all, c->nservices * sizeof(*all));
	free(all);
	TAILQ_FOREACH(s, &c->services, entry) {
		pack_service(&p, at, s);
		at += sizeof(*s);
	}
	h.npointers = p.npointers;
	h.pointers = put(&p, p.pointers, p.npointers * sizeof(*p.pointers));
	h.len = p.len;
	memcpy(p.block, &h, sizeof(h));
	free(p.pointers);
	free(p.files);
	*len = p.len;
	return p.block;
}

/* Do N things of SIZE bytes lie at AT? */
static bool inside(const struct head *h, size_t at, size_t n, size_t size)
{
	return at % 8 == 0 && at <= h->len && n <= (h->len - at) / size;
}

static bool is_whole(const struct head *h, size_t len)
{
	return len >= sizeof(*h) && h->magic == PACK_MAGIC && h->len <= len &&
	       inside(h, h->conf, 1, sizeof(struct conf)) &&
	       inside(h, h->services, h->nservices,
		      sizeof(struct conf_service)) &&
	       inside(h, h->pointers, h->npointers, sizeof(size_t));
}

/* Offsets become pointers. False: one is out of range. */
static bool relocate(char *base, const struct head *h)
{
	const size_t *at = (const void *)(base + h->pointers);

	for (size_t i = 0; i < h->npointers; i++) {
		uintptr_t to;

		if (!inside(h, at[i], 1, sizeof(to)))
			return false;
		memcpy(&to, base + at[i], sizeof(to));
		if (to >= h->len)
			return false;
		to += (uintptr_t)base;
		memcpy(base + at[i], &to, sizeof(to));
	}
	return true;
}

struct conf *conf_unpack(void *block, size_t len)
{
	const struct head *h = block;
	char *base = block;
	struct conf_service *s;
	struct conf *c;

	if (!is_whole(h, len) || !relocate(base, h))
		return NULL;
	c = (void *)(base + h->conf);
	c->refs = 1;
	c->block = block;
	c->block_len = len;
	c->names = xcalloc(1, sizeof(*c->names));
	TAILQ_INIT(&c->services);
	s = (void *)(base + h->services);
	for (size_t i = 0; i < h->nservices; i++, s++) {
		TAILQ_INSERT_TAIL(&c->services, s, entry);
		names_put(c->names, s->name, s);
	}
	return c;
}
