"""`make bench`: run the benchmarks."""

from benchmarks.webhooks import main

if __name__ == "__main__":
    main()
