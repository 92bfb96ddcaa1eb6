# Every call of ours that can fail does, here a spread of them: `scripts/fault` tries them all. What is
# looked at each time is in the first comment of fault.py.
load ../helper

# faults WHEN KIND
faults() {
	PROFFS_BUILD=$BUILD run python3 "$SOURCE/tests/fault/fault.py" "$1" "$2" --seconds "$3"
	echo "$output"
	is "$status" 0
	# A tree of which nothing fails would pass, too.
	[[ "$(tail -n 1 <<<"$output")" =~ ^$2:\ ([0-9]+)\ faults\ at\ ([0-9]+)\ places ]]
	((BASH_REMATCH[1] >= 2 && BASH_REMATCH[2] >= 1))
}

@test "no memory from malloc while it starts" { faults start memory 1; }
@test "no memory from mmap while it starts" { faults start map 1; }
@test "no descriptor while it starts" { faults start open 1; }
@test "no thread and no child while it starts" { faults start thread 1; }
@test "no timer while it starts" { faults start timer 1; }
@test "other system calls are refused while it starts" { faults start system 1; }
@test "what is read cannot be read while it starts" { faults start read 1; }

@test "no memory from malloc for a reader" { faults live memory 2; }
@test "no memory from mmap for a reader" { faults live map 1; }
@test "no descriptor for a reader" { faults live open 1; }
@test "no thread and no child for a reader" { faults live thread 1; }
@test "no timer for a reader" { faults live timer 1; }
@test "other system calls are refused for a reader" { faults live system 1; }
@test "what is read cannot be read for a reader" { faults live read 1; }
