# Makes orphans: RATE a second for SECONDS. Each child leaves twenty children
# of its own behind, which outlive it and end up with PID 1. Prints how many it
# made. Perl, because it is in every Debian image and forks cheaply.
use strict;
use warnings;
use POSIX ();
use Time::HiRes qw(time sleep);

my ($rate, $seconds) = @ARGV;
my $litter = 20;
my ($began, $made) = (time, 0);
while (time - $began < $seconds) {
	my $child = fork // die "fork: $!";
	if (!$child) {
		for (1 .. $litter) {
			next if fork;
			select(undef, undef, undef, 0.005);
			POSIX::_exit(0);
		}
		POSIX::_exit(0);
	}
	waitpid($child, 0);
	$made += $litter;
	my $ahead = $made / $rate - (time - $began);
	sleep($ahead) if $ahead > 0;
}
print "$made\n";
