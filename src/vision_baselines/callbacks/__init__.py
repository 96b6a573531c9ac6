"""Lightning callbacks: thin, each writes what `analysis` computes or keeps what a run must not lose."""
