package main

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"lockstep/client/contexts"
	"lockstep/cmd/lockstep/found"
)

func initCommand(r *remote) *cobra.Command {
	o := found.Options{}
	var name string
	c := &cobra.Command{
		Use:   "init DIR",
		Short: "Write the configuration and keys of a new cluster",
		Long: `Writes, into a folder that is new or empty, a configuration for each node and the
keys of nodes, operators and clients. Each node's server lets in whom the cluster
knows, by key, and each may do what its role needs: nobody but a node speaks as a
replica, and nobody but a server as the log.

Without --hosts all nodes run on this computer, each with ports of its own. With
--hosts, copy the folder of each node to its computer.`,
		Example: `  lockstep init cluster --use cluster
  lockstep init cluster --nodes a,b,c --hosts 10.0.0.1,10.0.0.2,10.0.0.3`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			o.Dir = args[0]
			cluster, err := found.Write(o)
			if err != nil {
				return err
			}
			if name != "" {
				if err := useContext(name, cluster); err != nil {
					return err
				}
			}
			return r.show(c, cluster, func(w io.Writer) error { return tellCluster(w, cluster, name) })
		},
	}
	c.Flags().StringSliceVar(&o.Nodes, "nodes", []string{"n1", "n2", "n3"}, "names of the nodes")
	c.Flags().StringSliceVar(&o.Hosts, "hosts", nil, "address of each node, if they are not all on this computer")
	c.Flags().StringVar(&o.Name, "cluster", "lockstep", "name of the cluster")
	c.Flags().IntVar(&o.Port, "port", found.DefaultPort, "port of the first node's NATS server; its cluster's is 2000 higher, HTTP's 4000")
	c.Flags().StringVar(&o.Data, "data", "", "data folder on each node's computer (default: data beside the configuration)")
	c.Flags().BoolVar(&o.TLS, "tls", false, "make certificates: nodes then speak TLS alone, with each other and with clients")
	c.Flags().StringVar(&name, "use", "", "make a context of this name for operators, and select it")
	return c
}

func useContext(name string, cluster found.Cluster) error {
	store, err := contexts.Default()
	if err != nil {
		return err
	}
	key, err := filepath.Abs(cluster.Admin)
	if err != nil {
		return fmt.Errorf("find key: %w", err)
	}
	ca := cluster.CA
	if ca != "" {
		if ca, err = filepath.Abs(ca); err != nil {
			return fmt.Errorf("find certificate: %w", err)
		}
	}
	if err := store.Save(contexts.Context{Name: name, Description: "made by lockstep init", URL: cluster.URL, Nkey: key, CA: ca}); err != nil {
		return err
	}
	return store.Select(name)
}

func tellCluster(w io.Writer, cluster found.Cluster, context string) error {
	for _, n := range cluster.Nodes {
		_, _ = fmt.Fprintf(w, "node %-8s lockstep node --config %s\n", n.Name, n.Config)
	}
	if n := len(cluster.Nodes); n < 3 || n%2 == 0 {
		_, _ = fmt.Fprintf(w, "note          of %d nodes, %d may fail: 3 bear one failure, 5 bear two\n", n, (n-1)/2)
	}
	_, _ = fmt.Fprintf(w, "operators     %s\nclients       %s\nnats itself   %s\nrecoveries    %s\n", cluster.Admin, cluster.Client, cluster.System, cluster.Operator)
	var err error
	ca := ""
	if cluster.CA != "" {
		ca = " --ca " + cluster.CA
		_, _ = fmt.Fprintf(w, "to trust      %s\n", cluster.CA)
	}
	if context == "" {
		_, err = fmt.Fprintf(w, "next          lockstep context add NAME --server %s --nkey %s%s --select\n", cluster.URL, cluster.Admin, ca)
	} else {
		_, err = fmt.Fprintf(w, "context       %s\n", context)
	}
	return err
}
