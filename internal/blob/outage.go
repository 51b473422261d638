package blob

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"

	"github.com/minio/minio-go/v7"
)

// outage is the error of a server that does not answer, or cannot just now. Whoever needs it waits: see worker.IsOutage.
type outage struct{ error }

func (o outage) Unwrap() error { return o.error }

// Outage is what the bus asks.
func (o outage) Outage() bool { return true }

// outageOf marks an error that is an outage.
func outageOf(err error) error {
	if isOutage(err) {
		return outage{err}
	}
	return err
}

func isOutage(err error) bool {
	var answer minio.ErrorResponse
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled):
		return false
	case errors.As(err, &answer):
		return answer.StatusCode >= http.StatusInternalServerError || answer.StatusCode == http.StatusTooManyRequests
	}
	return errors.As(err, &network) || errors.Is(err, errStalled) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, context.DeadlineExceeded)
}
