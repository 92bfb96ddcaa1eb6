# git: clone, gc, log of a local repository made of known commits.
load real

make_repository() {
	git init -q origin
	(
		cd origin
		export GIT_AUTHOR_DATE='2026-01-01T00:00:00Z' GIT_COMMITTER_DATE='2026-01-01T00:00:00Z'
		git config user.email a@b.c
		git config user.name me
		seq 900000 >large # some hundred milliseconds of zlib's, whoever deflates it
		for i in {1..30}; do
			for j in {1..20}; do seq $((i * j)) $((i + j)) $((i * j + 600 * j)) >"file$j"; done
			git add .
			git commit -q -m "commit $i"
		done
	)
}

@test "git clone, gc, fsck and log: the same objects, nothing broken" {
	make_repository
	for how in plain watched; do
		run_it() {
			git clone -q --no-local "$PWD/origin" "clone.$1" &&
				git -C "clone.$1" -c gc.auto=0 -c pack.threads=2 gc -q --prune=now --aggressive &&
				git -C "clone.$1" fsck --full --strict &&
				git -C "clone.$1" log --stat --format=%H | cksum &&
				git -C "clone.$1" rev-list --objects --all | sort | cksum
		}
		export -f run_it
		if [ "$how" = plain ]; then
			plain bash -c 'run_it plain'
		else
			watched_family bash -c 'run_it watched'
		fi
	done
	agrees
	is "$STATUS" 0
	# Debian's has no names of its own; what it has from libz it calls by slots that name it.
	gather cpu
	gather allocs
	most cpu.folded 80 '\[git\]'
	names cpu.folded '(in|de)flate'
	most allocs.folded 80 '\[git\]'
	names allocs.folded deflateInit_
	# The one that does the work in gc, on threads of its own.
	packs=$(dirname "$(grep -la -e --no-reuse-delta dump-*/cmdline)")
	most "$packs/cpu.folded" 60 start_thread
}

@test "git repacking: the same pack on one thread, and the profiles name its work" {
	make_repository
	# Neither deltas nor compressed objects are taken over, so all of them are made anew.
	same git -C origin pack-objects --all -q --threads=1 --window=50 --no-reuse-delta --no-reuse-object --stdout
	is "$STATUS" 0
	most dump/cpu.folded 20 deflate
	names dump/allocs.folded deflateInit_ inflate
	same git -C origin repack -q -a -d -f --depth=50 --window=200 --threads=2
	is "$STATUS" 0
	git -C origin fsck --full
	is "$(git -C origin log --format=%H | wc -l)" 30
}
