# Every call of ours that can fail does, here a spread of them: `scripts/fault` tries them all. What is
# looked at each time is in the first comment of fault.py.
load ../helper

# faults WHEN KIND ARGS...
faults() {
	PROFFS_BUILD=$BUILD run python3 "$SOURCE/tests/fault/fault.py" "$@"
	echo "$output"
	is "$status" 0
	# A tree of which nothing fails would pass, too.
	[[ "$(tail -n 1 <<<"$output")" =~ ^$2:\ ([0-9]+)\ faults\ at\ ([0-9]+)\ places ]]
	((BASH_REMATCH[1] >= 2 && BASH_REMATCH[2] >= 1))
}

@test "no memory from malloc while it starts" { faults start memory --seconds 1; }
@test "no memory from mmap while it starts" { faults start map --seconds 1; }
@test "no descriptor while it starts" { faults start open --seconds 1; }
@test "no thread and no child while it starts" { faults start thread --seconds 1; }
@test "no timer while it starts" { faults start timer --seconds 1; }
@test "other system calls are refused while it starts" { faults start system --seconds 1; }
@test "what is read cannot be read while it starts" { faults start read --seconds 1; }

# One of the first calls in libfuse is for the kernel's first message: without an answer to that one, there is
# a mount that refuses everybody (ECONNREFUSED).
@test "no memory in libfuse when the kernel says hello" { faults start memory --in libfuse3.so --from 1 --to 8; }

@test "no descriptor at all, not even for the line that says so" { faults start open --only forever --to 8; }
@test "no descriptor table of our own is said, too" { faults start system --only forever --to 5; }
@test "a program that cannot be looked at is run" { faults start read --to 2; }
@test "a thread that cannot be read now has not ended" { faults live read --look thread/ --only forever; }
@test "a list that is not whole is refused" { faults live memory --look thread/ --in libproffs-fs.so --to 40; }

@test "no memory from malloc for a reader" { faults live memory --seconds 2; }
@test "no memory from mmap for a reader" { faults live map --seconds 1; }
@test "no descriptor for a reader" { faults live open --seconds 1; }
@test "no thread and no child for a reader" { faults live thread --seconds 1; }
@test "no timer for a reader" { faults live timer --seconds 1; }
@test "other system calls are refused for a reader" { faults live system --seconds 1; }
@test "what is read cannot be read for a reader" { faults live read --seconds 1; }
