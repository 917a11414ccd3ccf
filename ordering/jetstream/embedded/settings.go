package embedded

import (
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"lockstep/ordering/jetstream/doctor"
)

// Settings are what the server runs with and what room it has.
func (s *Server) Settings() (doctor.Server, error) {
	v, err := s.srv.Varz(nil)
	if err != nil {
		return doctor.Server{}, fmt.Errorf("read settings of %s: %w", s.name, err)
	}
	js, err := s.srv.Jsz(&server.JSzOptions{Config: true})
	if err != nil {
		return doctor.Server{}, fmt.Errorf("read settings of %s: %w", s.name, err)
	}
	out := doctor.Server{
		Name: s.name, Host: v.Host, Version: v.Version, SyncAlways: js.Config.SyncAlways, SyncInterval: js.Config.SyncInterval, Strict: js.Config.Strict,
		MaxPayload: int64(v.MaxPayload), UniqueTag: js.Config.UniqueTag, MaxStore: js.Config.MaxStore, Reserved: js.ReservedStore,
		Used: js.Store, StoreDir: js.Config.StoreDir, DiskFree: doctor.DiskFree(js.Config.StoreDir),
	}
	if js.Meta != nil && js.Meta.Leader == s.name {
		out.Peers, out.Offline = js.Meta.Size, make(map[string]time.Duration)
		for _, p := range js.Meta.Replicas {
			if p.Offline {
				out.Offline[p.Name] = p.Active
			}
		}
	}
	return out, nil
}
