"""The gRPC services: requests in, calls of the control unit, errors as status codes out."""
