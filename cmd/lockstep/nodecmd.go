package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/lmittmann/tint"
	"github.com/spf13/cobra"

	"lockstep/cmd/lockstep/settings"
	"lockstep/host/daemon"
)

func nodeCommand(r *remote) *cobra.Command {
	flags := daemon.Default()
	var path string
	c := &cobra.Command{
		Use:   "node",
		Short: "Run a node: a NATS server and the replicas that it hosts",
		Long: `Runs a node until ctrl-C or SIGTERM. With no configuration it is a cluster of its
own on this computer, with its data in ./lockstep-data. 'lockstep init' writes the
configuration of a cluster of several nodes, and 'lockstep config print' documents
every setting.

Settings come from the configuration file, environment variables (LOCKSTEP_ and the
key in capitals) and flags; flags win over variables, and variables over the file.

Asked to stop, the node hands the logs that it leads to other nodes and sends its
clients there, so that callers notice nothing. A second ctrl-C stops it at once,
which loses nothing and costs callers a failover.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config := daemon.Default()
			if err := settings.Load(&config, configPath(path), os.LookupEnv, c.Flags()); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			if err := config.Validate(); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			log := nodeLogger(os.Stderr, config)
			return daemon.Run(c.Context(), config, daemon.Options{
				Version: version(), Logger: log,
				OnReady: func(at daemon.Addresses) {
					_ = r.show(c, map[string]any{"node": config.Name, "ready": true, "nats": at.NATS}, func(w io.Writer) error {
						_, err := fmt.Fprintf(w, "node %s is ready: clients at %s\n", config.Name, at.NATS)
						return err
					}) // whoever reads it no longer does not stop the node
				},
				OnLeave: func() { log.Info("leaving; ctrl-C again to stop at once") },
			})
		},
	}
	c.Flags().StringVarP(&path, "config", "c", "", "configuration file [LOCKSTEP_CONFIG]")
	settings.Register(c.Flags(), &flags)
	return c
}

// configPath is the file to read, "" for none.
func configPath(path string) string { return first(path, os.Getenv("LOCKSTEP_CONFIG")) }

func nodeLogger(w io.Writer, c daemon.Config) *slog.Logger {
	var level slog.Level
	_ = level.UnmarshalText([]byte(c.LogLevel)) // validated
	switch c.LogFormat {
	case "json":
		return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: level}))
	case "color":
		return slog.New(tint.NewTextHandler(w, &tint.Options{Level: level, TimeFormat: "15:04:05.000"}))
	}
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: level}))
}

func configCommand(r *remote) *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Show or check the configuration of a node"}
	var path string
	print := &cobra.Command{
		Use:   "print",
		Short: "Print the configuration that a node would run with, every key documented",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config := daemon.Default()
			if err := settings.Load(&config, configPath(path), os.LookupEnv, c.Flags()); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			return r.show(c, settings.Values(&config), func(w io.Writer) error { return settings.Write(w, &config) })
		},
	}
	check := &cobra.Command{
		Use:   "check",
		Short: "Say whether a node would accept the configuration",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			config := daemon.Default()
			if err := settings.Load(&config, configPath(path), os.LookupEnv, c.Flags()); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			if err := config.Validate(); err != nil {
				return fmt.Errorf("%w: %w", err, errUsage)
			}
			return r.show(c, map[string]any{"ok": true, "file": configPath(path)}, func(w io.Writer) error {
				_, err := fmt.Fprintln(w, "ok")
				return err
			})
		},
	}
	for _, sub := range []*cobra.Command{print, check} {
		sub.Flags().StringVarP(&path, "config", "c", "", "configuration file [LOCKSTEP_CONFIG]")
		c.AddCommand(sub)
	}
	return c
}
