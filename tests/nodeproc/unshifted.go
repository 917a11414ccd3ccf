//go:build !clocked

package nodeproc

import (
	"errors"
	"time"
)

func setClock(off time.Duration) error {
	if off == 0 {
		return nil
	}
	return errors.New("only a program of BuildClocked has a clock that can be set")
}
