package upgrade

import (
	"strings"
	"testing"
)

// In the form in which pg_upgrade 17 and 18 print, shortened and put together by
// hand; the real output is tested in package inplace.
const (
	saidReg = `Checking data type usage                                      failed check: Checking for reg* data types in user tables
failed check: Checking for system-defined composite types in user tables

Data type checks failed:
Your installation contains one of the reg* data types in user tables.
These data types reference system OIDs that are not preserved by
pg_upgrade, so this cluster cannot currently be upgraded.  You can
drop the problem columns and restart the upgrade.

A list of the problem columns is in the file:
    /v/new/pg_upgrade_output.d/20261123T081803.742/tables_using_reg.txt

Your installation contains system-defined composite types in user tables.
You can drop the problem columns and restart the upgrade.

A list of the problem columns is in the file:
    /v/new/pg_upgrade_output.d/20261123T081803.742/tables_using_composite.txt

Failure, exiting`
	saidLibrary = `Checking for presence of required libraries                   fatal

Your installation references loadable libraries that are missing from the
new installation.  You can add these libraries to the new installation,
or remove the functions using them from the old installation.  A list of
problem libraries is in the file:
    /v/new/pg_upgrade_output.d/20261123T081803.742/loadable_libraries.txt
Failure, exiting`
	saidPrepared = `Checking for prepared transactions

The source cluster contains prepared transactions
Failure, exiting`
)

func TestReportsOfPgUpgradeBecomeFindings(t *testing.T) {
	got := JudgeCheck(saidReg, map[string]string{"tables_using_reg.txt": "In database: a\n  public.t.r\n", "tables_using_composite.txt": "x\n", ServerLog: "noise"})
	if len(got) != 2 || got[1].Code != "reg-columns" || got[0].Code != "system-composite-columns" {
		t.Fatalf("%+v", got)
	}
	if !strings.HasPrefix(got[1].Text, "pg_upgrade --check refuses: Your installation contains one of the reg*") ||
		!strings.HasSuffix(got[1].Text, "restart the upgrade.") || strings.Contains(got[1].Text, "composite") {
		t.Error(got[1].Text)
	}
	if !strings.HasPrefix(got[0].Text, "pg_upgrade --check refuses: Your installation contains system-defined") {
		t.Error(got[0].Text)
	}
	if got[1].Detail != "In database: a\n  public.t.r" || got[1].Hint == "" {
		t.Error(got[1])
	}
	got = JudgeCheck(saidLibrary, map[string]string{"loadable_libraries.txt": "x"})
	if len(got) != 1 || got[0].Code != "library-missing" || !strings.HasSuffix(got[0].Text, "from the old installation.") {
		t.Errorf("%+v", got)
	}
}

func TestReasonsWithoutReportsKeepPgUpgradesWords(t *testing.T) {
	got := JudgeCheck(saidPrepared, nil)
	if len(got) != 1 || got[0].Code != "prepared-transactions" || !strings.HasSuffix(got[0].Text, ": The source cluster contains prepared transactions") {
		t.Errorf("%+v", got)
	}
	got = JudgeCheck("Checking something of 2030\n\nnobody knows this\nFailure, exiting", map[string]string{"new.txt": "names"})
	if len(got) != 1 || got[0].Code != "pg-upgrade-check" || got[0].Detail != "names" || got[0].Hint == "" {
		t.Errorf("%+v", got)
	}
	got = JudgeCheck("connection to server failed: could not connect\nFailure, exiting", map[string]string{ServerLog: "FATAL:  no"})
	if len(got) != 1 || got[0].Code != "pg-upgrade-connect" || !strings.Contains(got[0].Detail, "FATAL:  no") {
		t.Errorf("%+v", got)
	}
	if got := JudgeCheck("", nil); len(got) != 1 {
		t.Errorf("%+v", got)
	}
}
