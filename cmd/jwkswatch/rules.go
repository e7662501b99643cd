package main

import "github.com/spf13/cobra"

func newRules() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rules",
		Short: "The book of rules: what it says, and what it would have told",
		Args:  cobra.NoArgs,
		RunE:  func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newRulesList(), newRulesExplain(), newRulesTest(), newRulesBacktest())
	return cmd
}
