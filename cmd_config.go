package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/pgbaton/pgbaton/internal/config"
	"github.com/pgbaton/pgbaton/internal/node"
)

func newConfig() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "config",
		Short: "The settings of this container",
		Long: `config shows and checks the settings of this container: PGBATON_ variables,
the YAML file, and the variables of the official postgres image. It reads what
the container was started with and changes nothing.`,
		Example: `  pgbaton config print
  pgbaton config check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newConfigPrint(), newConfigCheck(), newConfigReference())
	return cmd
}

func newConfigPrint() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "print",
		Short: "Print every setting, its value and where it comes from",
		Long: `print prints every setting of pgbaton, the value in effect and where it comes
from. Secrets are shown as ***.`,
		Example: `  pgbaton config print
  pgbaton config print -o json`,
		Args: cobra.NoArgs,
	}
	output := addFormat(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		s, warnings, err := config.Load(os.Environ())
		for _, warning := range warnings {
			fmt.Fprintf(cmd.ErrOrStderr(), "warning: %s\n", warning)
		}
		if err != nil {
			return &failed{exitNo, err}
		}
		rows := config.Print(s)
		if st, err := newClient().State(cmd.Context()); err == nil { // else what it would be is not known
			rows = inEffect(rows, st)
		}
		return printRows(cmd.OutOrStdout(), rows, *output)
	}
	return cmd
}

// inEffect puts in what the supervisor of this container found for settings that
// have no value of their own.
func inEffect(rows []config.Row, st node.State) []config.Row {
	for i := range rows {
		if rows[i].Name == "volume" && rows[i].Value == "" {
			rows[i].Value = st.Volume
		}
	}
	return rows
}

func printRows(w io.Writer, rows []config.Row, f format) error {
	if f == jsonText {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(rows)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "SETTING\tFROM\tVALUE")
	for _, r := range rows {
		value := r.Value
		if value == "" {
			value = "(" + config.DefaultText(r.Name) + ")"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\n", r.Env, r.Source, value)
	}
	return tw.Flush()
}

func newConfigCheck() *cobra.Command {
	return &cobra.Command{
		Use:   "check",
		Short: "Are the settings sound?",
		Long: `check reads the settings as the container does at its start. It prints what
would be refused (exit code 1) and what would be ignored (a warning, exit
code 0).`,
		Example: `  pgbaton config check
  docker run --rm --env-file my.env IMAGE pgbaton config check`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return checkConfig(cmd.OutOrStdout(), os.Environ())
		},
	}
}

func checkConfig(w io.Writer, environ []string) error {
	_, warnings, err := config.Load(environ)
	_, officialErr := config.LoadOfficial(environ, os.ReadFile)
	for _, warning := range warnings {
		fmt.Fprintf(w, "warning: %s\n", warning)
	}
	if err := errors.Join(err, officialErr); err != nil {
		for line := range strings.Lines(err.Error()) {
			if !strings.HasPrefix(line, "error: ") { // the official image's own words begin so
				line = "error: " + line
			}
			fmt.Fprintln(w, strings.TrimSuffix(line, "\n"))
		}
		return &failed{code: exitNo}
	}
	_, err = fmt.Fprintln(w, "the settings are sound")
	return err
}

func newConfigReference() *cobra.Command {
	return &cobra.Command{
		Use:     "reference",
		Hidden:  true, // for the build: docs/configuration.md
		Short:   "Print the reference of all settings in Markdown",
		Example: "  pgbaton config reference > docs/configuration.md",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := io.WriteString(cmd.OutOrStdout(), config.Reference())
			return err
		},
	}
}
