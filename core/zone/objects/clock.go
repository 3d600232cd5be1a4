package objects

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// Iceberg refuses changes of a table that was last changed more than a minute from now, as it seems once a clock was set back. So
// what metadata says of when a table was changed is read as now at the latest: its history keeps its order, and the table goes on.
// Snapshots keep their own times.
const (
	metadataSuffix = ".metadata.json"
	ahead          = 30 * time.Second
)

var zstdMagic = []byte{0x28, 0xb5, 0x2f, 0xfd}

// current returns an object's bytes, and those of table metadata from the future with times up to now.
func current(name string, data []byte, now time.Time) ([]byte, error) {
	if !strings.HasSuffix(name, metadataSuffix) {
		return data, nil
	}
	text := data
	packed := bytes.HasPrefix(data, zstdMagic)
	if packed {
		var err error
		if text, err = unpack(data); err != nil {
			return nil, fmt.Errorf("objects: metadata %q: %w", name, err)
		}
	}
	var head struct {
		Updated int64 `json:"last-updated-ms"`
	}
	if err := json.Unmarshal(text, &head); err != nil || head.Updated <= now.Add(ahead).UnixMilli() {
		return data, nil //nolint:nilerr // iceberg-go says better what is wrong with it
	}
	text, err := clamp(text, now.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("objects: metadata %q: %w", name, err)
	}
	if packed {
		return pack(text)
	}
	return text, nil
}

// clamp sets the times of changes after now to now.
func clamp(text []byte, now int64) ([]byte, error) {
	var document map[string]json.RawMessage
	if err := json.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	latest := json.RawMessage(fmt.Sprint(now))
	document["last-updated-ms"] = latest
	for _, key := range []string{"snapshot-log", "metadata-log"} {
		if document[key] == nil {
			continue
		}
		var log []map[string]json.RawMessage
		if err := json.Unmarshal(document[key], &log); err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		for _, entry := range log {
			var at int64
			if err := json.Unmarshal(entry["timestamp-ms"], &at); err != nil {
				return nil, fmt.Errorf("%s: %w", key, err)
			}
			if at > now {
				entry["timestamp-ms"] = latest
			}
		}
		var err error
		if document[key], err = json.Marshal(log); err != nil {
			return nil, err
		}
	}
	return json.Marshal(document)
}

func unpack(data []byte) ([]byte, error) {
	decoder, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer decoder.Close()
	return decoder.DecodeAll(data, nil)
}

func pack(text []byte) ([]byte, error) {
	encoder, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	return encoder.EncodeAll(text, nil), encoder.Close()
}
