package inplace_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pgbaton/pgbaton/internal/testbed"
)

// preflightTests are those of preflight but for the schema trial.
var preflightTests = []string{
	"TestRealNothingStandsAgainstAnOrdinaryCluster",
	"TestRealTheNewClusterMatchesWhateverTheOldOneIs",
	"TestRealTheWALDirectoryOutsideIsMadeAndRemovedWhenRefused",
	"TestRealWhatPgUpgradeChecksComesWithNamesAndHints",
	"TestRealAConfigurationOutsideTheDataDirectoryReachesPgUpgradesServers",
	"TestRealAPathThatAShellWouldChangeIsRefused",
	"TestRealATablespaceIsLookedAt",
	"TestRealAMissingExtensionAndMissingPreloadLibrariesAreNamed",
	"TestRealSlotsAndSubscriptionsAreNamed",
	"TestRealAStandbyAndASocketlessServerAreRefused",
	"TestRealASuperuserWhoLostItsRightsIsRefused",
	"TestRealBrokenProgramsAreNamed",
	"TestRealADataDirectoryOfRootIsRefused",
	"TestRealTheFileSystemDecidesAboutTheMode",
}

// ownTables is what upgrades a cluster of 17 with tables that 17 made; the others
// do without.
const ownTables = "TestRealNothingStandsAgainstAnOrdinaryCluster/17-18"

// TestPreflightFindsOnRealServersWhatStandsAgainstAnUpgrade runs the tests that
// need PostgreSQL's programs and root inside the image: two by chance, all of
// them with PGBATON_SOAK.
func TestPreflightFindsOnRealServersWhatStandsAgainstAnUpgrade(t *testing.T) {
	limit := 25 * time.Minute
	tests := preflightTests
	if testbed.Soak() {
		limit = time.Hour
	} else {
		i := testbed.Seed(t).IntN(len(tests) - 1)
		tests = tests[i : i+2]
	}
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	leave := "^$"
	if ok, why := testbed.Upgradable(t, 17, 18); !ok && slices.Contains(tests, strings.TrimSuffix(ownTables, "/17-18")) {
		leave = "^" + ownTables + "$"
		t.Run("17 to 18", func(t *testing.T) { t.Skip(why) })
	}
	binary := testbed.RealTests(ctx, t, t.TempDir(), ".")
	clones := testbed.NewLoop(t, "xfs", 2<<30)
	for _, test := range tests {
		out, err := testbed.Docker(ctx, "run", "--rm", "--label", testbed.Label+"=1", "--entrypoint", "/inplace.test",
			"-e", "PGBATON_TEST_CLONES=/clones", "-v", clones.Path()+":/clones",
			"-v", binary+":/inplace.test:ro", "--tmpfs", "/tmp:size=4g,exec", "pgbaton:18",
			"-test.v", "-test.timeout", "30m", "-test.run", "^"+test+"$", "-test.skip", leave)
		if err != nil {
			t.Errorf("%s: %v", test, err)
		}
		if !strings.Contains(out, "--- PASS: "+test) || strings.Contains(out, "--- SKIP") {
			t.Errorf("%s was not run:\n%s", test, out)
		}
	}
}
