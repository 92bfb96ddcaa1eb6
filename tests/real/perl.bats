# perl: signals, pipes, forks, deep recursion, big strings.
load real

@test "perl: forks, pipes, alarms, sorting; the profiles name the interpreter" {
	cat >program.pl <<-'END'
		use strict; my ($sum, $caught, $alarms) = (0, 0, 0);
		$SIG{USR1} = sub { $caught++ };
		for my $n (1..60) {
			pipe(my $read, my $write) or die;
			my $pid = fork();
			if (!$pid) { close $read; kill 'USR1', getppid(); print $write $n * $n; exit $n }
			close $write; local $/; my $text = <$read>; $sum += $text;
			waitpid($pid, 0); $sum += $? >> 8;
		}
		$SIG{ALRM} = sub { $alarms++; die "late\n" };
		for (1..3) { eval { alarm 1 if $_ == 1; select(undef, undef, undef, 5) if $_ == 1; }; }
		my %h; $h{$_ % 977} .= chr(65 + $_ % 26) for 1..3000000;
		my $text = join '', map { $h{$_} } sort { $a <=> $b } keys %h;
		(my $copy = $text) =~ s/([A-M]+)/lc $1/ge;
		my @sorted = sort map { sprintf '%08d', $_ * 7919 % 1000003 } 1..100000;
		print "$sum ", ($caught > 0), " $alarms ", unpack('%32C*', $copy), " $sorted[0] $sorted[-1]\n";
		print `echo from a shell; exit 3`, $? >> 8, "\n";
		exit 4;
	END
	same perl program.pl
	is "$STATUS" 4
	most dump/cpu.folded 80 Perl_runops_standard perl_run main
	names dump/cpu.folded Perl_pp_fork Perl_pp_helem
	most dump/allocs.folded 60 Perl_runops_standard
	names dump/allocs.folded Perl_regexec_flags
}
