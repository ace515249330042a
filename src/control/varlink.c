/*
 * varlink - what a JSON message asks for (varlink.org/Method-Call), and the
 * interface that every service has, org.varlink.service.
 */
#include <string.h>

#include "control/commands.h"
#include "control/server.h"

/* doc/org.usher.varlink as a string, made by the Makefile. */
#include "control/interface_text.h"

#define INTERFACE "org.usher."
#define SERVICE   "org.varlink.service."

static const char service_text[] =
	"# Every Varlink service has this interface.\n"
	"interface org.varlink.service\n"
	"\n"
	"method GetInfo() -> (\n"
	"  vendor: string,\n"
	"  product: string,\n"
	"  version: string,\n"
	"  url: string,\n"
	"  interfaces: []string\n"
	")\n"
	"\n"
	"method GetInterfaceDescription(interface: string) -> (\n"
	"  description: string\n"
	")\n"
	"\n"
	"error InterfaceNotFound (interface: string)\n"
	"error MethodNotFound (method: string)\n"
	"error MethodNotImplemented (method: string)\n"
	"error InvalidParameter (parameter: string)\n"
	"error PermissionDenied ()\n"
	"error ExpectedMore ()\n";

static enum call_result get_info(struct call *c)
{
	json_put_text(c->reply, "vendor", "usher");
	json_put_text(c->reply, "product", "usher");
	json_put_text(c->reply, "version", VERSION);
	json_put_text(c->reply, "url", "man:usher(8)");
	json_put(c->reply, "interfaces",
		 json_pack("[ss]", "org.usher", "org.varlink.service"));
	return CALL_DONE;
}

static enum call_result get_description(struct call *c)
{
	const char *name = call_text(c, "interface");
	const char *text;

	if (!name)
		return call_invalid(c, "interface", "interface: it is missing");
	text = strcmp(name, "org.usher") == 0 ? interface_text
	       : strcmp(name, "org.varlink.service") == 0 ? service_text
	       : NULL;
	if (!text) {
		call_fail(c, SERVICE "InterfaceNotFound",
			  "there is no interface %s", name);
		json_put_text(c->reply, "interface", name);
		return CALL_FAILED;
	}
	json_put_text(c->reply, "description", text);
	return CALL_DONE;
}

static enum call_result not_found(struct call *c, const char *method)
{
	const char *dot = strrchr(method, '.');
	bool ours = strncmp(method, INTERFACE, strlen(INTERFACE)) == 0 ||
		    strncmp(method, SERVICE, strlen(SERVICE)) == 0;
	CLEANUP(freep) char *interface = NULL;

	if (ours || !dot) {
		call_fail(c, SERVICE "MethodNotFound", "there is no method %s",
			  method);
		json_put_text(c->reply, "method", method);
		return CALL_FAILED;
	}
	interface = xstrndup(method, (size_t)(dot - method));
	call_fail(c, SERVICE "InterfaceNotFound", "there is no interface %s",
		  interface);
	json_put_text(c->reply, "interface", interface);
	return CALL_FAILED;
}

static void run(struct call *c, const char *method)
{
	const struct command *cmd = NULL;
	enum call_result result;

	if (strncmp(method, INTERFACE, strlen(INTERFACE)) == 0)
		cmd = command_by_name(method + strlen(INTERFACE));
	if (cmd) {
		dispatch_run(c, cmd);
		return;
	}
	if (strcmp(method, SERVICE "GetInfo") == 0)
		result = get_info(c);
	else if (strcmp(method, SERVICE "GetInterfaceDescription") == 0)
		result = get_description(c);
	else
		result = not_found(c, method);
	dispatch_answer(c, result);
}

/* A message that is none ends the connection: who knows what follows. */
static void broken(struct call *c, const char *text)
{
	struct client *cl = c->client;

	dispatch_free(c);
	dispatch_broken(cl, text);
	cl->leaving = true;
}

void varlink_message(struct call *c, const char *text, size_t len)
{
	CLEANUP(freep) char *why = NULL;
	CLEANUP(json_decrefp) json_t *m = json_parse(text, len, &why);
	json_t *parameters = json_object_get(m, "parameters");
	const char *method = json_get_text(m, "method", NULL);

	if (!m || !method) {
		CLEANUP(freep) char *full = xasprintf(
			"no Varlink call: %s", m ? "method is missing" : why);

		broken(c, full);
		return;
	}
	if (parameters && !json_is_object(parameters) &&
	    !json_is_null(parameters)) {
		broken(c, "no Varlink call: parameters is no object");
		return;
	}
	c->more = json_get_bool(m, "more", false);
	c->oneway = json_get_bool(m, "oneway", false);
	c->parameters = json_is_object(parameters) ? json_incref(parameters)
						   : json_object();
	run(c, method);
}
