package main

import (
	"encoding/json"
	"fmt"
	"runtime"

	"github.com/spf13/cobra"
)

func newVersion() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "version",
		Short: "Print the version of pgbaton",
		Long: `version prints the version of this program. Which PostgreSQL runs and which
majors are available says ` + "`pgbaton status`.",
		Example: `  pgbaton version
  pgbaton version -o json`,
		Args: cobra.NoArgs,
	}
	output := addFormat(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		w, platform := cmd.OutOrStdout(), runtime.GOOS+"/"+runtime.GOARCH
		if *output == jsonText {
			return json.NewEncoder(w).Encode(map[string]string{
				"version": version, "go": runtime.Version(), "platform": platform,
			})
		}
		_, err := fmt.Fprintf(w, "pgbaton %s (%s, %s)\n", version, runtime.Version(), platform)
		return err
	}
	return cmd
}
