"""Show values where an assertion of the contract fails."""

import pytest

pytest.register_assert_rewrite("apsched.testing.contract")
