"""Real database servers, thrown away afterwards, for the tests and the benchmarks.

They know nothing of mmoinv: what they give are URLs. Linux only; elsewhere, and for a server of
your own, `MMOINV_TEST_POSTGRESQL_URL` and `MMOINV_TEST_MARIADB_URL` name one that runs already.
"""
