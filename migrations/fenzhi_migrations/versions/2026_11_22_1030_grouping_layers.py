"""Layers of grouping (分组层级): what edition 3.0 adds to editions, groups and cases.

Revision ID: 2026_11_22_grouping_layers
Revises: 2026_11_22_catalog_desk
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fenzhi_migrations.walls import AREA, COUNTY, HOSPITAL, PROVINCE, WORKER, Wall, lowering, statements

revision = "2026_11_22_grouping_layers"
down_revision = "2026_11_22_catalog_desk"
branch_labels = None
depends_on = None

_OF_DRAFT = "edition_id in (select edition_id from catalog_edition where state = 'draft')"
_BELOW = (AREA, COUNTY, HOSPITAL, WORKER)

WALLS: tuple[Wall, ...] = tuple(
    Wall(
        table,
        "province",
        insert=(PROVINCE,),
        delete=(PROVINCE,),
        writable_while=_OF_DRAFT,
        insertable_while=_OF_DRAFT,
        published="edition_id in (select edition_id from catalog_edition)",
        below=_BELOW,
    )
    for table in ("edition_list", "auxiliary_subtype")
)
_C = sa.Text(collation="C")


def upgrade() -> None:
    op.add_column("catalog_edition", sa.Column("standard", _C, server_default=sa.text("'2.0'"), nullable=False))
    op.create_check_constraint(
        op.f("ck_catalog_edition_standard"), "catalog_edition", "standard in ('1.0', '2.0', '3.0')"
    )
    op.add_column("disease_group", sa.Column("layer", _C, server_default=sa.text("'basic'"), nullable=False))
    for name in ("more_diagnoses", "secondary_diagnoses", "facts"):
        op.add_column("disease_group", sa.Column(name, _C, server_default=sa.text("''"), nullable=False))
    op.create_check_constraint(
        op.f("ck_disease_group_layer"), "disease_group", "layer in ('priority', 'merged', 'dx_auxiliary', 'basic')"
    )
    op.add_column("inpatient_case", sa.Column("birth_weight_g", sa.Integer(), nullable=True))
    op.add_column("inpatient_case", sa.Column("discharge_way", _C, nullable=True))
    op.create_table(
        "edition_list",
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("list", _C, nullable=False),
        sa.Column("code", _C, nullable=False),
        sa.Column("scope", _C, nullable=False),
        sa.CheckConstraint(
            "list in ('principal', 'not_main', 'conservative', 'limited_main', 'extension')",
            name=op.f("ck_edition_list_list"),
        ),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_edition_list_edition_id_catalog_edition")
        ),
        sa.PrimaryKeyConstraint("edition_id", "list", "code", name=op.f("pk_edition_list")),
    )
    op.create_table(
        "auxiliary_subtype",
        sa.Column("province_id", sa.Integer(), nullable=False),
        sa.Column("edition_id", sa.Uuid(), nullable=False),
        sa.Column("group_code", _C, nullable=False),
        sa.Column("dimension", _C, nullable=False),
        sa.Column("subtype", _C, nullable=False),
        sa.Column("coefficient", sa.Numeric(), nullable=False),
        sa.CheckConstraint("coefficient > 0", name=op.f("ck_auxiliary_subtype_coefficient")),
        sa.ForeignKeyConstraint(
            ["edition_id"], ["catalog_edition.edition_id"], name=op.f("fk_auxiliary_subtype_edition_id_catalog_edition")
        ),
        sa.PrimaryKeyConstraint("edition_id", "group_code", "dimension", "subtype", name=op.f("pk_auxiliary_subtype")),
    )
    for wall in WALLS:
        for statement in statements(wall):
            op.execute(statement)


def downgrade() -> None:
    for wall in reversed(WALLS):
        for statement in lowering(wall):
            op.execute(statement)
    op.drop_table("auxiliary_subtype")
    op.drop_table("edition_list")
    op.drop_column("inpatient_case", "discharge_way")
    op.drop_column("inpatient_case", "birth_weight_g")
    op.drop_constraint(op.f("ck_disease_group_layer"), "disease_group")
    for name in ("facts", "secondary_diagnoses", "more_diagnoses", "layer"):
        op.drop_column("disease_group", name)
    op.drop_constraint(op.f("ck_catalog_edition_standard"), "catalog_edition")
    op.drop_column("catalog_edition", "standard")
