# bash completion for usher(8). Commands and options are asked of usher itself
# (usher --words), so they are never out of date.

_usher()
{
	local word=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[1]}
	local usher=${COMP_WORDS[0]} words

	if [ "$COMP_CWORD" -eq 1 ]; then
		words=$("$usher" --words)
	elif [[ $word == -* ]]; then
		words=$("$usher" --words "$command" | grep '^-' | tr -d =)
	elif "$usher" --words "$command" | grep -q '^[^-]*SERVICE'; then
		words=$("$usher" status --json 2>/dev/null |
			grep -o '"name":"[^"]*","state"' | cut -d '"' -f 4)
	else
		compopt -o default
		return
	fi
	mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
}
complete -F _usher usher
