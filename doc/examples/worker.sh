#!/bin/sh
# A worker in shell: one process a connection, the client is standard input
# and output.
#
#	[service finger]
#	listen = tcp:*:79
#	exec = /usr/local/sbin/worker.sh
#	user = nobody
#	max_per_source = 3
#
#	[service reindex]
#	trigger = fifo:reindex
#	exec = /usr/local/sbin/worker.sh
#
# Who it is stands in the environment, as tcpserver has it; a trigger's message
# is standard input and, when it is text, USHER_TRIGGER.
set -u

if [ "${USHER_TRIGGER+set}" ]; then
	echo "run for '$USHER_TRIGGER'" >&2	# to the log
	exit 0
fi

case ${PROTO-} in
TCP)	peer="$TCPREMOTEIP port $TCPREMOTEPORT" ;;
UNIX)	peer="uid $UNIXREMOTEEUID" ;;
*)	peer='nobody we know' ;;
esac

echo "hello $peer, this is $USHER_SERVICE"
while IFS= read -r line; do
	case $line in
	quit*)	break ;;
	*)	printf 'you said: %s\n' "$line" ;;
	esac
done
echo bye
