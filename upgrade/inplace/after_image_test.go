package inplace_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// afterTests are those of the first start and of what follows it.
var afterTests = []string{
	"TestRealIndexesAreRightAndVersionsRefreshedAfterAnUpgradeToAnotherICU/17",
	"TestRealIndexesAreRightAndVersionsRefreshedAfterAnUpgradeToAnotherICU/18",
	"TestRealDatabasesCanBeMadeAtOnceWhereTheWholeClusterIsOfICU",
	"TestRealAUniqueIndexOfLettersThatBecameEqualStaysAndIsReported",
	"TestRealADuplicateThatARebuildFindsIsReportedAndTheRestGoesOn",
	"TestRealAnExtensionThatCannotBeUpdatedIsReportedAndTheOthersAreUpdated",
	"TestRealReindexOffNamesWhatIsLeftAndChangedLeavesNothing",
	"TestRealARebuildThatWasKilledIsBegunAgainAndLeavesNothing",
	"TestRealAClusterOfLibcOnlyNeedsNothing",
	"TestRealPreflightNamesExactlyTheIndexesThatChange",
	"TestRealPartitionBoundsOfAChangedCollationAreRefused",
}

// TestAnUpgradedClusterIsVerifiedAndMendedOnRealServers runs the tests that need
// PostgreSQL's programs and root inside the image, where both are: two by
// chance, all of them with PGBATON_SOAK.
func TestAnUpgradedClusterIsVerifiedAndMendedOnRealServers(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 25*time.Minute)
	defer cancel()
	binary := testbed.RealTests(ctx, t, t.TempDir(), ".")
	tests := afterTests
	if !testbed.Soak() {
		i := testbed.Seed(t).IntN(len(tests) - 1)
		tests = tests[i : i+2]
	}
	for _, test := range tests {
		name, sub, _ := strings.Cut(test, "/")
		out, err := testbed.Docker(ctx, "run", "--rm", "--label", testbed.Label+"=1", "--entrypoint", "/inplace.test",
			"-v", binary+":/inplace.test:ro", "--tmpfs", "/tmp:size=2g", "pgbaton:18", "-test.v", "-test.run", "^"+name+"$/^"+sub)
		if err != nil {
			t.Errorf("%s: %v", test, err)
		}
		if !strings.Contains(out, "--- PASS: "+test) || strings.Contains(out, "--- SKIP") {
			t.Errorf("%s was not run:\n%s", test, out)
		}
	}
}
