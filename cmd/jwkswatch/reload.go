package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/jwkswatch/jwkswatch/configs"
	"github.com/jwkswatch/jwkswatch/control"
	"github.com/jwkswatch/jwkswatch/event"
)

func newReload() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "reload",
		Short: "Let the running daemon load its configuration again",
		Long: `Let the running daemon load its configuration again, and say what changed. The
daemon also looks by itself every 30 seconds, and at SIGHUP.

Exits 78 when the configuration is refused, and the old one goes on; 4 when no
daemon answers.`,
		Example: "  jwkswatch config check /etc/jwkswatch/jwkswatch.yaml && jwkswatch reload",
		Args:    cobra.NoArgs,
	}
	p := placeFlags(cmd)
	output := outputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		if err := checkOutput(*output); err != nil {
			return err
		}
		client, err := p.client()
		if problems, ok := errors.AsType[configs.Errors](err); ok && *output == "json" {
			// Not even the state's path can be read: the daemon is not asked.
			r := control.ReloadResult{Outcome: control.Refused, Problems: told(problems)}
			return errors.Join(failed(json.NewEncoder(cmd.OutOrStdout()).Encode(lists(r))), &ended{code: exitConfig})
		}
		if err != nil {
			return err
		}
		r, err := client.Reload(cmd.Context())
		if err != nil {
			return unasked(err)
		}
		if path, err := filepath.Abs(configPath(*p.config)); err == nil && *p.state == "" && r.File != "" && path != r.File {
			fmt.Fprintf(cmd.ErrOrStderr(), "the daemon reads %s: what stands in %s is not used\n", event.Text(r.File), path)
		}
		if *output == "json" {
			err = json.NewEncoder(cmd.OutOrStdout()).Encode(lists(r))
		} else {
			err = printReload(cmd.OutOrStdout(), cmd.ErrOrStderr(), r)
		}
		switch {
		case err != nil:
			return failed(err)
		case r.Outcome == control.Refused:
			return &ended{code: exitConfig}
		}
		return nil
	}
	return cmd
}

// lists makes empty lists of absent ones.
func lists(r control.ReloadResult) control.ReloadResult {
	for _, l := range []*[]string{
		&r.EndpointsAdded, &r.EndpointsRemoved, &r.EndpointsChanged, &r.SinksAdded, &r.SinksRemoved, &r.SinksChanged, &r.Settings, &r.Shrinks, &r.Problems,
	} {
		if *l == nil {
			*l = []string{}
		}
	}
	return r
}

func printReload(out, errs io.Writer, r control.ReloadResult) error {
	for _, problem := range r.Problems {
		if _, err := fmt.Fprintln(errs, problem); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(out, "%s; the configuration in use is %s\n", r.Outcome, r.Digest); err != nil {
		return err
	}
	t := tabwriter.NewWriter(out, 0, 8, 2, ' ', 0)
	for _, row := range []struct {
		what string
		list []string
	}{
		{"endpoints added", r.EndpointsAdded},
		{"endpoints removed", r.EndpointsRemoved},
		{"endpoints changed", r.EndpointsChanged},
		{"sinks added", r.SinksAdded},
		{"sinks removed", r.SinksRemoved},
		{"sinks changed", r.SinksChanged},
		{"settings changed", r.Settings},
	} {
		if len(row.list) > 0 {
			fmt.Fprintf(t, "  %s\t%s\n", row.what, strings.Join(row.list, ", "))
		}
	}
	for _, s := range r.Shrinks {
		fmt.Fprintf(t, "  watched less\t%s\n", s)
	}
	return t.Flush()
}
