# What tests/real has in common: real programs, run as they are and run under everything we have.
#
#   plain CMD...     without us: plain.out, plain.err, $PLAIN_STATUS
#   watched CMD...   with every collector on, to its end: $OUT, $ERR, $STATUS; afterwards every
#                    profile is in dump/, as `proffs run --dump-on-exit` writes it
#   same CMD...      both; they print the same, on stderr too, and end the same
#   family CMD...    the same with a tree and a dump for every child, at trees-PID and dump-PID; `gather` them
#   watched_family CMD...    as `watched`, of the family
#   gather NAME      of all these dumps: NAME.folded of each, in one file of that name
#   serve CMD...     a server in the background, every collector on, its tree at $TREE
#   names FILE NAME...   each of these functions is on a stack of that .folded profile
#   most FILE PERCENT NAME...   each is on stacks with so much of all that is in it
#   dump_of PROGRAM  after `family`: the dump of the first process of that name that has one
#
# INPUT=FILE is what a program reads. The environment is what a child inherits, too.

source "$BATS_TEST_DIRNAME/../helper.bash"

# Every collector, and often: what breaks a program shall do it here.
export PROFFS_ENABLE=1
FAST=(--set cpu/hz=1000 --set wall/hz=50 --set heap_sample_bytes=16384)

plain() {
	PLAIN_STATUS=0
	"$@" <"${INPUT:-/dev/null}" >plain.out 2>plain.err 3>&- || PLAIN_STATUS=$?
}

# to_end [OPTIONS...] -- CMD...
to_end() {
	STATUS=0
	"$PROFFS" run "${FAST[@]}" "$@" <"${INPUT:-/dev/null}" >"$OUT" 2>"$ERR" 3>&- || STATUS=$?
	sed -i "\|^proffs: $BATS_TEST_TMPDIR/tree|d" "$ERR" # where the tree is; of nothing else is there a word
}

watched() {
	to_end -m "$TREE" --dump-on-exit dump -- "$@"
}

# Process ids, addresses and durations are not the same twice; nor are lines with NOISE, a pattern.
without_numbers() { sed -E "/${NOISE:-^\b$}/d; s/0x[0-9a-f]+|[0-9]+//g" "$1"; }

agrees() {
	is "$STATUS" "$PLAIN_STATUS" || { tail -n 30 "$OUT" "$ERR"; return 1; }
	cmp plain.out "$OUT" || { diff plain.out "$OUT" | head -n 30; return 1; }
	cmp <(without_numbers plain.err) <(without_numbers "$ERR") || { diff plain.err "$ERR" | head -n 30; return 1; }
	wait_until 5 no_mount_left
	wait_until 60 no_heir # who ends by _exit(2) has its files a moment later
}

same() {
	plain "$@"
	watched "$@"
	agrees
}

watched_family() {
	to_end -m "$BATS_TEST_TMPDIR/trees-%p" --dump-on-exit "$BATS_TEST_TMPDIR/dump-%p" -- "$@"
}

family() {
	plain "$@"
	watched_family "$@"
	agrees
}

# Of a child that ended before it was a tenth of a second old nothing was sampled.
gather() {
	find . -path "./dump-*/$1.folded" -exec cat {} + >"$1.folded"
}

serve() {
	tree_start "${FAST[@]}" -- "$@"
}

names() {
	local name
	for name in "${@:2}"; do
		grep -qE "(^|;)$name(;| [0-9]+$)" "$1" && continue
		echo "no $name in $1:"
		sort -t' ' -k2nr "$1" | cut -c1-300 | head -n 20
		return 1
	done
}

# A name is a pattern. A program's work is where most of its profile is: what finds a name somewhere would
# not see that most stacks lead nowhere.
most() {
	local name
	for name in "${@:3}"; do
		PATTERN="(^|;)$name(;|\$)" awk -v least="$2" '{value = $NF; sub(/ [0-9]+$/, ""); all += value}
			$0 ~ ENVIRON["PATTERN"] {there += value}
			END {exit !(all > 0 && there * 100 >= all * least)}' "$1" && continue
		echo "$name has less than $2 % of $1:"
		sort -t' ' -k2nr "$1" | cut -c1-300 | head -n 20
		return 1
	done
}

dump_of() { grep -lx "program $1" dump-*/status | sort -V | head -n 1 | xargs -r dirname; }

# A port that nobody listens on now.
free_port() {
	/usr/bin/python3 -c 'import socket
s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
