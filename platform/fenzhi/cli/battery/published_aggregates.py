"""What siblings of one area may learn of each other (公布的汇总数据): field by field, and why.

Everything else that a county or a hospital is answered must be the same whatever the other counties and hospitals of its area do. The
battery builds both worlds, compares every answer word for word, and fails for a field that differs and is not listed here, and for
a field listed here that never differs.
"""

from __future__ import annotations

from collections.abc import Mapping

_POOL = "a total of the whole pool, published with its run"
_VALUE = "the point value of the pool: its fund over everybody's points"
_LEAGUE = "the league of data quality, published to the hospitals of the area"
_REVIEWS = (
    "the public statistics of special-case review: the area's discharges, its cap and what became of the applications"
)
_SHARE = "the own money of a hospital, or of a county's hospitals: points priced by the pool's point value"

PUBLISHED_AGGREGATES: Mapping[str, str] = {
    **dict.fromkeys(
        (
            "ClearingAccount.fen",
            "ClearingManifest.caseCount",
            "ClearingManifest.payments",
            "ClearingSummary.bookedFen",
            "ClearingSummary.cases",
            "ClearingSummary.costFen",
            "ClearingSummary.fundRatio",
            "ClearingSummary.grossFen",
            "ClearingSummary.pending",
            "ClearingSummary.pendingCases",
            "ClearingSummary.points",
            "ClearingSummary.poolFen",
        ),
        _POOL,
    ),
    **dict.fromkeys(
        (
            "ClearingSummary.pointValuePrinted",
            "PointValue.bookedFen",
            "PointValue.costFen",
            "PointValue.points",
            "PointValue.printed",
            "StepValue.value",
        ),
        _VALUE,
    ),
    **dict.fromkeys(
        (
            "BookBalance.balanceFen",
            "CountyTotal.grossFen",
            "CountyTotal.paidFen",
            "CountyTotal.payableFen",
            "CountyTotal.transferFen",
            "HospitalStatement.clearedFen",
            "HospitalStatement.defaultShareFen",
            "HospitalStatement.depositPostingFen",
            "HospitalStatement.depositTargetFen",
            "HospitalStatement.depositWithheldFen",
            "HospitalStatement.grossFen",
            "HospitalStatement.methodShareFen",
            "HospitalStatement.payableFen",
            "HospitalStatement.pricedShareFen",
            "HospitalStatement.printedFen",
            "HospitalStatement.remainderFen",
            "HospitalStatement.transferFen",
            "Payment.amountFen",
            "StatementChange.fen",
            "StatementChanges.afterFen",
            "StatementCase.shareFen",
        ),
        _SHARE,
    ),
    **dict.fromkeys(
        (
            "QualityLeagueRow.rank",
            "QualityLeagueRow.score",
            "QualityRate.denominator",
            "QualityRate.numerator",
            "QualityRate.value",
        ),
        _LEAGUE,
    ),
    **dict.fromkeys(
        (
            "ReviewCycle.admitted",
            "ReviewCycle.admittedBefore",
            "ReviewCycle.applied",
            "ReviewCycle.cap",
            "ReviewCycle.discharges",
            "ReviewCycle.fundPaidToDateFen",
            "ReviewCycle.ineligible",
            "ReviewCycle.lapsed",
            "ReviewCycle.offPoolToDateFen",
            "ReviewCycle.passedToDate",
            "ReviewCycle.waiting",
        ),
        _REVIEWS,
    ),
}
"""`Type.field` of the API → why it depends on the whole pool (字段与理由)."""
